"""Seeded random command lines, run in this process: each ends with its work or one clear message.

    python scripts/fuzz_commands.py --count 3000 --seed 0

Each is checked for a traceback, for more than 10 CPU seconds, for its exit status,
for exactly one `error:` line
that names no parser and no class, for what a refused command leaves behind, and, where it trained,
for overrides
that had no effect. Every fault is printed with its command line; the exit status is 1 when there was one.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import os
import random
import re
import shlex
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("COLUMNS", "100")

from hydra.core.global_hydra import GlobalHydra

from vanishgrad.cli import main
from vanishgrad.config.catalogue import Choice, ChoiceGroup, groups

LIMIT, WAIT = 10.0, 120.0  # CPU seconds of a command; wall seconds, on a machine that does other things
STATUSES = (0, 2, 3, 130)  # 1 is a run that failed: nothing that is typed may make one
FORBIDDEN = re.compile(
    r"\b\w+Exception\b|\b[A-Z]\w+Error\b|antlr|omegaconf|mismatched input|no viable|extraneous input|<EOF>"
    r"|_SWEEP\b|HydraConf|NoneType|Union\[|DictConfig|ListConfig|Config(Store|Loader)|RunDir|<class|"
    r"Traceback|object has no|not supported between|type annotation|merging override|Could not override"
)
SMALL = {"depth": "1", "width": "2", "max_steps": "1"}
LAST = (
    "++x=1", "~depth", "+depth=2", "depth=2 depth=3", "act=relu act=tanh", "seed=range(0)",
    "sweep.max_stack=2", "-v",
    "seed=range(0,10,0)", "act=glob(zz*)", "seed=glob(*)", "depth==3", "depth=3=4", "name='", 'name="a',
    "name=[a",
    "act=relu)", "act=(relu", "depth={a:1", "depth=[1,2", "depth=a,,b", "depth=,1", "depth=1,", "--foo",
    "--depth=3",
    "-x", "--multrun", "--cfg nothing", "--config-dir nowhere", "--package x", "--resolve", "hydra=1",
    "hydra.x=1",
    "hydra.run=3", "hydra.run.dir=", "hydra.run.dir=[a]", "hydra.job.chdir=maybe", "hydra.mode=SOME",
    "hydra/x=y",
    "hydra/launcher=none", "hydra/sweeper=none", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=x", "~hydra.run",
    "+hydra.x=1", "hydra.sweeper._target_=os.system", "hydra.searchpath=x", "act._target_=os.system",
    "act@x=relu",
    "depth@x=1", "act/x=relu", "hydra/launcher@x=basic", "lr=interval(0,1)", "lr=range(0,1,nan)",
    "seed=1,range(3)",
    "seed=choice(range(3))", "act=tag(relu)", "act=foo(relu)", "lr=int(abc)", "seed=sort(1,a)",
    "seed=0,0", "=3", "",
    " ", "-", "depth", "Depth=3", "DEPTH=3", "batch-size=3", "depth =3", "größe=3", "resume=nowhere",
    "resume=",
    "sweep.resume=nowhere", "sweep.foo=1", "sweep.retry=failed", "objective=nothing", "name=${nothing}",
    "name=${",
    "depth=${name}", "width=${width}", "depth=???", "lr=${oc.env:NO_SUCH_VARIABLE}", "lr=${foo:1}",
    "act=${x}",
    "norm.position.x=3", "depth.x=1", "act=[relu]", "act={slope:1}", "remedy=relu,", "act=\n", "name=a\nb",
)  # fmt: skip
VALUES = (
    "0", "1", "2", "3", "-1", "-0", "-0.0", "0.5", "1.0", "1e3", "1_000", "0x10", "007", "1e300",
    "1e-300", "1e-400",
    "1e400", "nan", "inf", "-inf", "9" * 30, "9" * 5000, "true", "false", "null", "NULL", "yes", "", " ",
    "'1'",
    '"a b"', "a", "größe", "a b", "a=b", "a,b", "[1]", "[]", "{}", "{a: 1}", "${width}", "${nothing}",
    "${", "???",
    "range(3)", "choice(1,2)", "glob(*)", "interval(0,1)", "shuffle(1,2)", "1000000000",
    "1000000000000000000", "%",
    "a\\,b", "\\", "~", "../x", "/", "é", "日本", "\U0001f600", "'", '"', "((", "auto", "full", "all",
    "standard",
)  # fmt: skip
NAMES = (
    "größe",
    "two words",
    "a=b",
    "007",
    "1e3",
    "a(b",
    "日本",
    "x;y",
    "a:b",
    "true",
    "1_000",
    "it's",
    "~x",
    "#1",
    "x/y",
)
SCALARS = (
    "depth", "width", "epochs", "max_steps", "batch_size", "lr", "warmup", "seed", "device", "dtype",
    "threads",
    "log_every", "eval_every", "measure", "recompute_every", "save_every", "snapshots", "dead_every",
    "input_gradients", "stop_on", "name", "objective",
)  # fmt: skip
RIGHT = {
    "depth": ("1", "2", "3"), "width": ("1", "3", "8"), "max_steps": ("0", "1", "2"), "batch_size": ("8",
    "full"),
    "lr": ("0.1", "1e-3", "1", "null", "5.", "+1"), "warmup": ("0", "1"), "seed": ("1", "-3",
    "12345678901234567890"),
    "device": ("cpu", "auto"), "dtype": ("float64", "float32"), "threads": ("1", "auto"),
    "log_every": ("1", "5"),
    "eval_every": ("1", "null"), "measure": ("all", "gradients"), "recompute_every": ("0", "1"),
    "save_every": ("0", "1"), "snapshots": ("0", "2"), "dead_every": ("0", "1"), "input_gradients": ("0",
    "8"),
    "stop_on": ("null", "any", "vanishing"), "name": NAMES, "epochs": ("1", "2"),
}  # fmt: skip
OTHERS = {
    "report": ("runs=RUN", "runs=SWEEP", "runs=[RUN,SWEEP]", "runs=nowhere", "out=x", "out=",
    "figures=[nothing]",
               "figures=gradient_profile", "format=svg", "format=gif", "style=paper", "style=x",
               "open=maybe", "run=RUN",
               "--open", "x", "runs=RUN runs=RUN", "runs=", "format=[svg,pdf]", "runs=[]", "out=/proc/x"),
    "diagnose": ("runs=RUN", "runs=SWEEP", "runs=RUN/gradients.csv", "runs=RUN/run.json", "runs=nowhere",
    "format=json",
                 "format=xml", "x", "--json", "runs=", "runs=[]", "format=json format=json",
                 "runs=[RUN,RUN]", "Runs=RUN"),
    "sample": ("run=TEXT", "run=RUN", "run=nowhere", "prompt=a", "prompt=", "prompt=größe", "temperature=0",
               "temperature=hot", "temperature=nan", "temperature=1e300", "temperature=-1", "length=5",
               "length=0",
               "length=x", "length=1e3", "seed=1", "seed=x", "seed=" + "9" * 5000, "x", "--x",
               "runs=TEXT", "seed=1 seed=2"),
    "options": ("act", "norm", "acts", "format=json", "format=xml", "--all", "act norm", "remedy", "x=1",
    "format=",
                "Act", "--config-dir nowhere", ""),
    "lab": ("chapter=99", "chapter=depht", "profile=fast", "foo=1", "open", "--quick", "chapter=[]",
    "chapter=",
            "profile=", "out=RUN/run.json", "open=maybe", "profile=quick profile=full", "chapter=0",
            "chapter=9" * 30),
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """What went wrong with a command line."""

    number: int
    typed: tuple[str, ...]
    what: str

    def __str__(self) -> str:
        return f"{self.number}: vanishgrad {shlex.join(self.typed)}\n    {self.what}"


@dataclass(frozen=True)
class Done:
    """How a command ended; `crash` is what it raised."""

    status: int | None
    out: str
    err: str
    seconds: float
    crash: str = ""


class TookTooLong(BaseException):
    """Nothing that catches errors catches it."""


CATALOGUE = {group.name: group for group in groups()}
TRAINED = [name for name in CATALOGUE if name not in ("experiment", "data", "model", "remedy")]


def command_line(number: int, seed: int = 0) -> list[str]:
    """The command line with this number."""
    chance = random.Random(f"{seed} {number}")
    command = chance.choices(
        ["train", "sweep", "theory", "cure", "show", *OTHERS, "none"], [52, 14, 6, 4, 3, 5, 5, 4, 3, 3, 1]
    )[0]
    if command == "none":
        words = (
            "foo",
            "--foo",
            "trian",
            "depth=3",
            "help foo",
            "--version",
            "help train",
            "train --help",
            "-m",
            "",
        )
        return chance.choice(words).split(" ")
    if command in OTHERS:
        known = [chance.choice(OTHERS[command]) for _ in range(chance.choice([0, 1, 1, 2, 2, 3]))]
        return [command, *_lab_needs_a_fault(command, known), *_words(known)]
    typed = _setting(chance, hostile=chance.random() < 0.55)
    if command == "sweep":
        typed += _swept(chance, typed)
    if chance.random() < 0.25:
        typed += _words([chance.choice(LAST)])
    chance.shuffle(typed) if not any(word.startswith("--") for word in typed) else None
    extra = {
        "train": [], "sweep": ["-m"], "theory": ["format=json"], "show": ["--cfg", "job"],
        "cure": ["cure.budget=1", "cure.seeds=1", "cure.pairs=false", "report=false"],
    }[command]  # fmt: skip
    if command == "sweep" and chance.random() < 0.1:
        extra = []
    own = _cut(typed)
    if command == "cure" and chance.random() < 0.8:
        own += [
            chance.choice(("cure.x=1", "remedy=relu", "apply=maybe", "cure.budget=0", "-m", "sweep.resume=x"))
        ]
    name = "train" if command in ("sweep", "show") else command
    return [name, *extra, *own]


def _lab_needs_a_fault(command: str, known: Sequence[str]) -> list[str]:
    """An argument that is refused, where nothing else keeps the lab from training for minutes."""
    return ["profile=none"] if command == "lab" and not known else []


def _words(texts: Sequence[str]) -> list[str]:
    """Texts of several arguments as those; a text of one argument may have blanks."""
    several = ("depth=2 depth", "act=relu act", "--", "runs=RUN runs", "format=json format",
    "seed=1 seed", "act norm",
               "profile=quick p")  # fmt: skip
    return [word for text in texts for word in (text.split(" ") if text.startswith(several) else [text])]


def _setting(chance: random.Random, hostile: bool) -> list[str]:
    typed: dict[str, str] = {}
    for group in chance.sample(TRAINED, chance.choice([0, 1, 1, 2, 3])):
        typed |= _choice(chance, CATALOGUE[group])
    for key in chance.sample(sorted(RIGHT), chance.choice([0, 1, 2])):
        typed[key] = chance.choice(RIGHT[key])
    if chance.random() < 0.08:
        typed |= _choice(chance, CATALOGUE["remedy"])
    if chance.random() < 0.06:
        typed |= {"data": chance.choice(["adding", "copy"]), "model": chance.choice(["rnn", "lstm", "gru"])}
    if hostile:
        key = chance.choice(
            [*SCALARS, *typed, "hydra.run.dir", "data.train_size", "data.path", "data", "model"]
        )
        typed[key] = chance.choice(VALUES)
    return [_mutated(chance, f"{key}={value}", hostile) for key, value in typed.items()]


def _choice(chance: random.Random, group: ChoiceGroup) -> dict[str, str]:
    """A choice of a group, with some of its parameters, or those of another choice."""
    choice: Choice = chance.choice(group.choices)
    owner = choice if chance.random() < 0.95 else chance.choice(group.choices)
    found = {group.name: choice.name}
    for item in owner.parameters:
        if chance.random() < 0.4:
            found[item.key] = json.dumps(item.default) if chance.random() < 0.7 else chance.choice(VALUES)
    return found


def _mutated(chance: random.Random, text: str, hostile: bool) -> str:
    """The text, at times mistyped."""
    if not hostile or chance.random() < 0.85:
        return text
    key, _, value = text.partition("=")
    kinds = [
        text.upper(), text.replace("_", "-"), f"{text} ", f" {text}", f"{key}= {value}", f"+{text}",
        f"++{text}",
        f"~{key}", key, f"{key[::-1]}={value}", f"{key}={value[::-1]}", f"{key}.x={value}",
        f"{key}={value},{value}x",
        text.replace("=", ":"), f"'{text}'", f"--{text}", f"{text};", f"{text})", f"{key}=[{value}]",
        text[:-1],
    ]  # fmt: skip
    return chance.choice(kinds)


def _swept(chance: random.Random, typed: Sequence[str]) -> list[str]:
    keys = {text.partition("=")[0] for text in typed}
    kinds = {
        "seed": ("range(2)", "1,2", "choice(3,4)", "range(5,3,-1)", "shuffle(range(2))", "sort(2,1)"),
        "act": ("relu,tanh", "glob(t*)", "glob([r*,t*],exclude=tanh)", "choice(null,elu)"),
        "lr": ("0.1,1", "range(0.1,0.4,0.2)", "float(1,2)"), "name": ("größe,läng", "a,007", "'a,b',c"),
    }  # fmt: skip
    own = [f"{key}={chance.choice(values)}" for key, values in kinds.items() if key not in keys]
    return [*chance.sample(own, min(len(own), chance.choice([0, 1, 1, 2]))), "hydra.launcher.n_jobs=1"]


def _cut(typed: Sequence[str]) -> list[str]:
    """What keeps training short, unless it was typed."""
    keys = {text.strip("+~- ").partition("=")[0] for text in typed}
    small = [f"{key}={value}" for key, value in SMALL.items() if key not in keys]
    data = ["data.train_size=64"] if not {"data", "data.train_size"} & keys else []
    pretrain = ["pretrain.epochs=1"] if "pretrain" in keys and "pretrain.epochs" not in keys else []
    return [*typed, *small, *data, *pretrain]


def run(typed: Sequence[str]) -> Done:
    """Run a command line in this process and the working directory."""
    GlobalHydra.instance().clear()
    out, err = io.StringIO(), io.StringIO()
    before, status, crash = time.process_time(), None, ""
    with redirect_stdout(out), redirect_stderr(err), warnings.catch_warnings(), _limited():
        try:
            status = main(list(typed))
        except SystemExit as stop:  # Hydra's own help
            status = 0 if stop.code is None else int(stop.code)
        except TookTooLong:
            crash = f"took more than {LIMIT:g} CPU seconds or {WAIT:g} seconds"
        except BaseException:
            crash = traceback.format_exc()
    return Done(status, out.getvalue(), err.getvalue(), time.process_time() - before, crash)


@contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TookTooLong

    signals, timers = (signal.SIGPROF, signal.SIGALRM), (signal.ITIMER_PROF, signal.ITIMER_REAL)
    before = [signal.signal(one, stop) for one in signals]
    try:
        for timer, limit in zip(timers, (LIMIT, WAIT), strict=True):
            signal.setitimer(timer, limit)
        yield
    finally:
        for timer, one, handler in zip(timers, signals, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(one, handler)


def faults(typed: Sequence[str], done: Done, folder: Path, there: set[str]) -> Iterator[str]:
    """What is wrong with how a command ended.

    Arguments:
        typed: the command line.
        done: how it ended.
        folder: in which it ran.
        there: names of what was in it before.
    """
    if done.crash:
        yield done.crash
        return
    if done.status not in STATUSES:
        yield f"exit status {done.status}: {done.err.strip()}"
        return
    lines = [line for line in done.err.splitlines() if not line.startswith("note: ")]
    if done.status == 2:
        if len(lines) != 1 or not lines[0].startswith("error: "):
            yield f"not one error: {done.err!r}"
        if found := FORBIDDEN.search(done.err):
            yield f"speaks of {found[0]!r}: {done.err.strip()}"
        if left := {path.name for path in folder.iterdir()} - there:
            yield f"left {sorted(left)}: {done.err.strip()}"
    elif lines:
        yield f"status {done.status} with {lines}"
    elif typed[:1] == ["train"]:
        yield from ignored(typed, [json.loads(file.read_text()) for file in records(folder, there)], done.err)


def records(folder: Path, there: set[str]) -> list[Path]:
    """run.json of every run that a command trained."""
    new = [path for path in folder.iterdir() if path.name not in there]
    return [file for path in new for file in sorted(path.rglob("run.json"))]


def ignored(typed: Sequence[str], runs: Sequence[dict[str, Any]], said: str) -> Iterator[str]:
    """Overrides that did not reach the runs, by a reading of values that shares nothing with the package."""
    if not runs or "--cfg" in typed:
        return
    for text in typed[1:]:
        key, sign, value = text.partition("=")
        if not sign or key.startswith(
            ("hydra", "sweep.", "resume", "-", "objective", "remedy", "experiment")
        ):
            continue
        wanted = [_read(key, one) for one in _listed(value)]
        if any("${" in str(one) for one in wanted) or wanted == [None]:
            continue
        found = [_recorded(key, one["choices"]) for one in runs]
        missing = [one for one in wanted if not any(_same(one, other) for other in found)]
        if missing and f"{key}=" not in said:
            yield f"{text}: has {missing}, but the runs have {found[:4]}"


CALL = re.compile(r"\s*(choice|shuffle|sort|float|int|str)\((.*)\)\s*", re.DOTALL)
COUNTED = re.compile(r"\s*(?:shuffle\()?range\((.*?)\)\)?\s*")


def _listed(value: str) -> list[str]:
    if counted := COUNTED.fullmatch(value):
        numbers = [float(one) for one in counted[1].split(",")]
        start, stop = (0.0, numbers[0]) if len(numbers) == 1 else numbers[:2]
        step = numbers[2] if len(numbers) > 2 else 1.0
        return [repr(start + step * place) for place in range(max(0, math.ceil((stop - start) / step)))]
    if value.strip().startswith("glob("):
        return []
    if called := CALL.fullmatch(value):
        value = called[2]
    if value.strip()[:1] in ("[", "{"):
        return [value]
    return re.findall(r"""'[^']*'|"[^"]*"|[^,]+""", value) or [value]


def _read(key: str, text: str) -> Any:
    text = text.strip()
    if key == "name":
        return text.strip("'\"") if text.lower() != "null" else None
    if text.lower() in ("null", "true", "false"):
        return {"null": None, "true": True, "false": False}[text.lower()]
    try:
        return float(text)
    except ValueError:
        return text.strip("'\"") if text[:1] not in "[{" else text


def _recorded(key: str, choices: dict[str, Any]) -> Any:
    group, _, parameter = key.partition(".")
    value = choices.get(group)
    return value.get(parameter or "name") if isinstance(value, dict) else value


def _same(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, bool) or wanted is None or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, float):
        number = isinstance(found, int | float) and not isinstance(found, bool)
        return (number and math.isclose(wanted, found, rel_tol=1e-12)) or str(found) == f"{wanted:g}"
    return str(wanted) == str(found) or (str(wanted)[:1] in ("[", "{") and isinstance(found, list))


@contextmanager
def fixtures() -> Iterator[Path]:
    """A folder with the runs that commands read: RUN, SWEEP and TEXT."""
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
        folder = Path(name)
        os.chdir(folder)
        try:
            (folder / "letters.txt").write_text("a b c d e f " * 200)
            small = ["width=2", "depth=1", "max_steps=1"]
            of_text = ["data=text", "data.path=letters.txt", "data.length=4", "batch_size=4", "model=rnn"]
            for typed in (
                ["train", *small, "hydra.run.dir=RUN"],
                ["train", *small, *of_text, "hydra.run.dir=TEXT"],
                ["train", "-m", *small, "seed=0,1", "hydra.sweep.dir=SWEEP", "hydra.launcher.n_jobs=1"],
            ):
                done = run(typed)
                assert done.status == 0, done
            yield folder
        finally:
            os.chdir(here)


def fuzz(numbers: Sequence[int], seed: int = 0, show: bool = False) -> tuple[list[Fault], Counter[Any]]:
    """Run the command lines with these numbers; what was wrong, and how many ended with each status."""
    found, statuses = list[Fault](), Counter[Any]()
    with _no_processes(), fixtures() as given:
        for number in numbers:
            typed = command_line(number, seed)
            with tempfile.TemporaryDirectory(prefix="fuzz-") as name:
                folder = Path(name)
                if any(word in text for text in typed for word in ("RUN", "SWEEP", "TEXT")):
                    shutil.copytree(given, folder, dirs_exist_ok=True)
                there = {path.name for path in folder.iterdir()}
                os.chdir(folder)
                done = run(typed)
                statuses[done.status] += 1
                new = [Fault(number, tuple(typed), what) for what in faults(typed, done, folder, there)]
                os.chdir(given)
            found += new
            for fault in new if show else ():
                print(fault, flush=True)
    return found, statuses


@contextmanager
def _no_processes() -> Iterator[None]:
    """Commands begin no processes that would import torch for nothing."""
    from vanishgrad.sweeps import processes

    before, processes.warm = processes.warm, lambda *_, **__: None  # type: ignore[assignment]
    try:
        yield
    finally:
        processes.warm = before  # type: ignore[assignment]


def commands(arguments: Sequence[str] | None = None) -> int:
    """The command of this file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=3000, help="command lines")
    parser.add_argument("--seed", type=int, default=0, help="of the command lines")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    given = parser.parse_args(arguments)
    found, statuses = fuzz(range(given.first, given.first + given.count), given.seed, show=True)
    ended = ", ".join(f"{count} with {status}" for status, count in sorted(statuses.items(), key=str))
    print(f"{given.count} command lines, {len(found)} faults; exit status: {ended}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(commands())
