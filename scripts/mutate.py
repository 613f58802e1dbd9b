"""Whether the tests notice when the code is wrong: a seeded sample of mutations, and who fails.

    python scripts/mutate.py [--sample 200] [--seed 0] [--only 'vanishgrad/diagnosis/*'] [--jobs 2]
                             [--traced FOLDER] [--seconds 120]

A mutation is one small change that an operator of cosmic-ray makes: another comparison, another arithmetic
sign, a constant that is one off, a `not`, an empty loop, a `break` for a `continue`. Places are drawn first
and then one of their mutations, so that no place counts six times because there are six other signs.
Annotations are left out: nobody evaluates them.

The fast tests run once under coverage, which says which tests run which line, and how long each takes;
`--traced` keeps that in a folder, or takes it from there. Then each mutation is made in a copy of the tree,
and the tests of its line run, the quickest first, until one fails. What no test notices is printed as a diff.
A mutation that changes nothing that anybody could see is written down in `scripts/equivalent_mutants.txt`
with the reason, and is no longer counted.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache
from itertools import count
from pathlib import Path
from queue import Queue

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names
from coverage import CoverageData

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = ROOT / "scripts" / "equivalent_mutants.txt"
PACKAGE = "vanishgrad"
COVERAGE, TIMES = "coverage", "times.xml"
# Those that need arguments, and signs that only integers have: what raises at once tells nothing about tests.
LEFT_OUT = ("VariableInserter", "VariableReplacer", "Bit", "Shift", "Invert")
NOT_FOUND = 4  # pytest's exit status where a test that it was given by name is not there
SECONDS_OF_A_TEST = 0.3  # where the time of a test is not known
CHANGES = count(
    1
)  # each gives the changed file a time of its own: else Python takes the bytecode of the one before

Place = tuple[str, tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Mutation:
    """One change of one file.

    Arguments:
        path: of the file, from the root.
        line: where it is.
        operator: cosmic-ray's name of it.
        occurrence: which of the operator's places in the file.
    """

    path: str
    line: int
    operator: str
    occurrence: int

    def of(self, code: str) -> str:
        """The file as changed."""
        changed = mutate_code(code, get_operator(self.operator)(), self.occurrence)
        assert changed is not None
        return str(changed)

    def diff(self) -> list[str]:
        """The lines that it changes, with - and +."""
        code = (ROOT / self.path).read_text(encoding="utf-8")
        lines = difflib.unified_diff(code.splitlines(), self.of(code).splitlines(), n=0, lineterm="")
        return [line for line in lines if not line.startswith(("---", "+++", "@@"))]

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.operator.removeprefix('core/')}"


def mutations(path: str) -> Iterator[tuple[Place, Mutation]]:
    """Every mutation of a file, with its place."""
    code = (ROOT / path).read_text(encoding="utf-8")
    tree, idle = get_ast(code), _idle_lines(code)
    operators = {
        name: get_operator(name)() for name in operator_names() if not any(part in name for part in LEFT_OUT)
    }
    seen = dict.fromkeys(operators, -1)
    for node in ast_nodes(tree):
        for name, operator in operators.items():
            for start, end in operator.mutation_positions(node):
                seen[name] += 1
                if not any(begin <= (*start, 0) and (*end, 0) <= stop for begin, stop in idle):
                    yield (path, start, end), Mutation(path, start[0], name, seen[name])


def _idle_lines(code: str) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Where annotations begin and end."""
    places = []
    for node in ast.walk(ast.parse(code)):
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(annotation, ast.expr):
                begin = (annotation.lineno, annotation.col_offset, 0)
                places.append((begin, (annotation.end_lineno or 0, annotation.end_col_offset or 0, 1)))
    return places


def sample(size: int, seed: int, only: str) -> list[Mutation]:
    """Mutations of `size` places, drawn evenly."""
    places = defaultdict[Place, list[Mutation]](list)
    for file in sorted((ROOT / PACKAGE).rglob("*.py")):
        path = str(file.relative_to(ROOT))
        if fnmatch(path, only):
            for place, mutation in mutations(path):
                places[place].append(mutation)
    draw = random.Random(seed)
    drawn = draw.sample(sorted(places), min(size, len(places)))
    return [draw.choice(places[place]) for place in drawn]


@dataclass
class Tests:
    """Which tests run a line.

    Arguments:
        data: what coverage noted, with the test as the context of every line.
        root: of the tree that the tests ran in.
        seconds: of a test, by its name.
    """

    data: CoverageData
    root: str
    seconds: dict[str, float]
    _files: dict[str, dict[int, list[str]]] = field(default_factory=dict)

    def of(self, mutation: Mutation, seconds: float) -> list[str]:
        """Names of the tests that run it, the quickest first, as many as fit into `seconds`.

        A line that runs when the file is imported belongs to every test that runs something of the file.
        """
        lines = self._lines(mutation.path)
        own = {name for name in lines.get(mutation.line, []) if name}
        names = own or {name for found in lines.values() for name in found if name}
        chosen, spent = [], 0.0
        for name in sorted(names, key=lambda name: (self._seconds(name), name)):
            spent += self._seconds(name)
            if chosen and spent > seconds:
                break
            chosen.append(name)
        return chosen

    def _lines(self, path: str) -> dict[int, list[str]]:
        if path not in self._files:
            found = self.data.contexts_by_lineno(str(Path(self.root) / path))
            self._files[path] = {
                line: [name.partition("|")[0] for name in names] for line, names in found.items()
            }
        return self._files[path]

    def _seconds(self, name: str) -> float:
        return self.seconds.get(name, SECONDS_OF_A_TEST)


def traced(folder: Path, jobs: int) -> Tests:
    """The tests by line, from `folder` or by running them all."""
    if not (folder / TIMES).exists():
        folder.mkdir(parents=True, exist_ok=True)
        print(f"running the fast tests under coverage, into {folder} ...", flush=True)
        options = [f"--cov={PACKAGE}", "--cov-context=test", "--cov-report=", f"--junitxml={folder / TIMES}"]
        environment = _environment(ROOT) | {"COVERAGE_FILE": str(folder / COVERAGE)}
        subprocess.run(_pytest(["-n", str(jobs), *options]), cwd=ROOT, env=environment, check=False)
    data = CoverageData(str(folder / COVERAGE))
    data.read()
    a_file = next(file for file in data.measured_files() if file.endswith(f"/{PACKAGE}/__init__.py"))
    return Tests(data, a_file.removesuffix(f"/{PACKAGE}/__init__.py"), _times(folder / TIMES))


def _times(path: Path) -> dict[str, float]:
    """Seconds by the name of a test."""
    times = dict[str, float]()
    for case in ElementTree.parse(path).iter("testcase"):
        module = case.get("classname", "").replace(".", "/")
        times[f"{module}.py::{case.get('name')}"] = float(case.get("time", 0))
    return times


def _pytest(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]


def _environment(root: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}


def notices(mutation: Mutation, tree: Path, tests: Sequence[str], seconds: float) -> str:
    """The test that fails with the mutation made in `tree`, or an empty text."""
    path = tree / mutation.path
    code = path.read_text(encoding="utf-8")
    try:
        path.write_text(mutation.of(code), encoding="utf-8")
        _date(path)
        return _failing(tree, tests, seconds)
    finally:
        path.write_text(code, encoding="utf-8")
        _date(path)


def _date(path: Path) -> None:
    now = int(time.time()) + next(CHANGES)
    os.utime(path, (now, now))


def _failing(tree: Path, tests: Sequence[str], seconds: float) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as names:
        names.write("\n".join(tests))
        names.flush()
        command = _pytest(["-x", "--no-header", f"@{names.name}"])
        try:
            ran = subprocess.run(
                command, cwd=tree, env=_environment(tree), capture_output=True, text=True,
                timeout=60 + 3 * seconds,  # a minute to start; beyond that something goes on for ever
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return "it never ends"
    if ran.returncode == NOT_FOUND and any("::" in name for name in tests):
        files = dict.fromkeys(name.partition("::")[0] for name in tests)  # the change is part of their names
        return _failing(tree, list(files), seconds)
    if ran.returncode == 0:
        return ""
    failed = [line for line in ran.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0] if failed else f"pytest ended with {ran.returncode}"


@cache
def equivalents() -> dict[tuple[str, str], str]:
    """Why a mutation changes nothing that can be seen, by file and the line that it makes, or takes away."""
    if not EQUIVALENT.exists():
        return {}
    rows = [line.split(" | ") for line in EQUIVALENT.read_text(encoding="utf-8").splitlines() if line]
    return {(path, line): reason for path, line, reason in rows}


def is_equivalent(mutation: Mutation) -> bool:
    """Whether it was judged to change nothing."""
    lines = mutation.diff()
    made = [line[1:].strip() for line in lines if line.startswith("+")]
    gone = [f"-{line[1:].strip()}" for line in lines if not made]
    return any((mutation.path, line) in equivalents() for line in [*made, *gone])


def copied(folder: Path) -> Path:
    """The tree as it is, without what git ignores."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def main() -> int:
    """Print what is noticed and what is not; the exit status is 0 either way."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sample", type=int, default=200, help="places to change")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="*", help="a pattern of files, from the root")
    parser.add_argument("--jobs", type=int, default=2, help="mutations at once")
    parser.add_argument("--traced", type=Path, help="where to keep, or find, which test runs which line")
    parser.add_argument("--seconds", type=float, default=120, help="of tests for one mutation at most")
    given = parser.parse_args()
    drawn = sample(given.sample, given.seed, given.only)
    with tempfile.TemporaryDirectory() as scratch:
        tests = traced(given.traced or Path(scratch) / "traced", given.jobs)
        trees = Queue[Path]()
        for number in range(given.jobs):
            trees.put(copied(Path(scratch) / str(number)))

        def judged(mutation: Mutation) -> str:
            if is_equivalent(mutation):
                return "changes nothing"
            names, tree = tests.of(mutation, given.seconds), trees.get()
            try:
                return notices(mutation, tree, names, given.seconds) if names else ""
            finally:
                trees.put(tree)

        with ThreadPoolExecutor(given.jobs) as pool:
            seen = []
            for mutation, found in zip(drawn, pool.map(judged, drawn), strict=True):
                seen.append((mutation, found))
                print(f"{mutation}: {found or 'NOBODY NOTICES'}", flush=True)
    return _summary(seen)


def _summary(seen: Sequence[tuple[Mutation, str]]) -> int:
    survivors = [mutation for mutation, found in seen if not found]
    same = sum(found == "changes nothing" for _, found in seen)
    for mutation in survivors:
        print(f"\n{mutation}\n" + "\n".join(mutation.diff()))
    changing = len(seen) - same
    noticed = changing - len(survivors)
    share = noticed / max(changing, 1)
    print(
        f"\n{len(seen)} mutations, {same} change nothing; of the other {changing} the tests notice {noticed}"
    )
    print(f"{share:.1%} of the mutations that change something are noticed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
