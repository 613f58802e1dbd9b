"""How the package is cut up, in numbers: files, functions, and how often the code asks which choice it has.

    python scripts/measure_structure.py [REPO ...]

Without REPO it measures the repository that it stands in; with several, one column each, such as before and
after. It reads the source of REPO/vanishgrad and imports none of it, so it works on any checkout.

- Files are all `*.py` of the package, lines what `wc -l` counts. 90 % is the nearest rank. Small files have
  fewer than 60 lines and are neither `__init__.py` nor `__main__.py`. A small file has a single importer when
  one other file of the package names it in an import, inside a function and for type checking as well.
- Functions are all `def`s, methods and nested ones too; their length is from `def` to the last line,
  decorators not counted. Private ones begin with an underscore, `__dunder__` methods are none. A reference
  is the bare name or `anything.name`, in the file of the function or in a file that imports it from there.
- A choice's class stands under vanishgrad/choices and has `name: ClassVar[...] = ...`, or inherits from such
  a class or from a Protocol there; a class that such classes share as a base is one too. A test is a member
  of `isinstance(x, A)`, `isinstance(x, (A, B))` or `A | B`, or a pattern `A(...)` in a `case`, at any depth:
  each class counts once. Names are followed through imports, and through constants such as `GATED = (LSTM,
  GRU)`. Its own file is the one that defines the class. Three other ways to ask the same are counted apart:
  `type(x) is A`, a dict with a choice's class as a key, and `register(A)` as of `singledispatch`.
- A choice's name as text is `x.name == "lstm"`, `in ("lstm", "gru")` or a `case "lstm"` of `match x.name`,
  each string once, for the names of choices, in files outside vanishgrad/choices.
- Names with two meanings: classes with the same name, wherever they are in the package, and public functions
  at the top level of more than one file.
"""

from __future__ import annotations

import argparse
import ast
import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = "vanishgrad"
CHOICES = "choices/"
SMALL = 60
NOT_SMALL = ("__init__.py", "__main__.py")
WIDTH = 66  # of the labels
HERE = Path(__file__).resolve().parents[1]

Function = ast.FunctionDef | ast.AsyncFunctionDef
Key = tuple[str, str]  # module, class
Rows = dict[str, str]


@dataclass(frozen=True, eq=False)
class Source:
    """One file of the package, parsed.

    Arguments:
        path: from the package's folder on.
        module: its dotted name.
        lines: how many.
        nodes: of its syntax, all of them.
        top: those at the top level.
        imported: local name -> module and the name in it, empty for the module itself.
    """

    path: str
    module: str
    lines: int
    nodes: tuple[ast.AST, ...]
    top: tuple[ast.stmt, ...]
    imported: dict[str, Key] = field(default_factory=dict)

    def classes(self) -> Iterator[ast.ClassDef]:
        """Nested ones too."""
        return (node for node in self.nodes if isinstance(node, ast.ClassDef))

    def functions(self) -> Iterator[Function]:
        """Methods and nested ones too."""
        return (node for node in self.nodes if isinstance(node, Function))

    def constant(self, name: str) -> ast.expr | None:
        """What a name at the top level was assigned."""
        for node in self.top:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                    return node.value
        return None


Sources = dict[str, Source]  # by module


# Reading


def sources(repo: Path) -> Sources:
    """All files of the package, by module."""
    root = repo / PACKAGE
    if not root.is_dir():
        raise SystemExit(f"error: no folder {PACKAGE} in {repo}")
    found = [_source(path, root) for path in sorted(root.rglob("*.py"))]
    return {source.module: source for source in found}


def _source(path: Path, root: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    parts = path.relative_to(root.parent).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    tree = ast.parse(text, str(path))
    nodes = tuple(ast.walk(tree))
    module = parts[:-1] if is_package else parts
    imported = _imported(nodes, module if is_package else module[:-1])
    inside = path.relative_to(root).as_posix()
    return Source(inside, ".".join(module), text.count("\n"), nodes, tuple(tree.body), imported)


def _imported(nodes: Iterable[ast.AST], package: tuple[str, ...]) -> dict[str, Key]:
    found: dict[str, Key] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {item.asname or item.name: (item.name, "") for item in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(node, package)
            found |= {item.asname or item.name: (module, item.name) for item in node.names}
    return found


def _absolute(node: ast.ImportFrom, package: tuple[str, ...]) -> str:
    if not node.level:
        return node.module or ""
    above = package[: len(package) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


# Which class a name means


def meant(expression: ast.expr, source: Source, known: Sources, depth: int = 0) -> list[Key]:
    """The classes of the package that an expression names: `A`, `module.A`, `(A, B)`, `A | B`, a constant."""
    match expression:
        case ast.Name(id=name):
            return _named(name, source, known, depth)
        case ast.Attribute(value=value, attr=name):
            module = _module(value, source, known)
            return _named(name, known[module], known, depth) if module in known else []
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return [key for part in parts for key in meant(part, source, known, depth)]
        case ast.BinOp(left=left, op=ast.BitOr() | ast.Add(), right=right):
            return meant(left, source, known, depth) + meant(right, source, known, depth)
        case ast.Starred(value=value):
            return meant(value, source, known, depth)
    return []


def _named(name: str, source: Source, known: Sources, depth: int) -> list[Key]:
    if depth > 10 or any(item.name == name for item in source.classes()):
        return [(source.module, name)] if depth <= 10 else []
    if name in source.imported:
        module, original = source.imported[name]
        return _named(original, known[module], known, depth + 1) if module in known else []
    value = source.constant(name)
    return [] if value is None else meant(value, source, known, depth + 1)


def _module(expression: ast.expr, source: Source, known: Sources) -> str:
    text = ast.unparse(expression)
    module, name = source.imported.get(text, ("", ""))
    inside = f"{module}.{name}" if name else module
    return inside if inside in known else ""


# Choices


def choice_classes(known: Sources) -> set[Key]:
    """The classes of choices, with the bases that they share."""
    found = [
        (source, item)
        for source in known.values()
        if source.path.startswith(CHOICES)
        for item in source.classes()
    ]
    bases = {
        (source.module, item.name): {key for base in item.bases for key in meant(base, source, known)}
        for source, item in found
    }
    protocols = {(source.module, item.name) for source, item in found if _is_protocol(item)}
    named = {(source.module, item.name) for source, item in found if choice_name(item) is not None}
    heirs = _heirs(named | protocols, bases) - protocols
    return heirs | {base for key in heirs for base in bases.get(key, set()) if base in bases} - protocols


def _heirs(first: set[Key], bases: dict[Key, set[Key]]) -> set[Key]:
    found = first | {key for key, parents in bases.items() if parents & first}
    return found if found == first else _heirs(found, bases)


def _is_protocol(item: ast.ClassDef) -> bool:
    return any(ast.unparse(base).split("[")[0].split(".")[-1] == "Protocol" for base in item.bases)


def choice_name(item: ast.ClassDef) -> str | None:
    """What stands behind `name: ClassVar[str] =`, as text."""
    for node in item.body:
        match node:
            case ast.AnnAssign(target=ast.Name(id="name"), value=ast.Constant(value=name)):
                return str(name)
            case ast.AnnAssign(target=ast.Name(id="name"), value=ast.expr() as name):
                return ast.unparse(name)
    return None


def choice_names(known: Sources) -> set[str]:
    """Those of all choices, as they are typed."""
    found = (
        item for source in known.values() if source.path.startswith(CHOICES) for item in source.classes()
    )
    return {name for item in found if (name := choice_name(item)) is not None}


# Asking which choice it is


def tested(source: Source) -> Iterator[ast.expr]:
    """The second argument of every isinstance, and the class of every class pattern."""
    for node in source.nodes:
        match node:
            case ast.Call(func=ast.Name(id="isinstance"), args=[_, classes]):
                yield classes
            case ast.MatchClass(cls=one):
                yield one


def asked_otherwise(source: Source) -> Iterator[ast.expr]:
    """What stands beside `type(x) is`, as a key of a dict, and in `register(...)`."""
    for node in source.nodes:
        match node:
            case ast.Compare(left=ast.Call(func=ast.Name(id="type")), comparators=others):
                yield from others
            case ast.Dict(keys=keys):
                yield from (key for key in keys if key is not None)
            case ast.Call(func=ast.Attribute(attr="register"), args=[ast.expr() as one, *_]):
                yield one


def tests_by_file(known: Sources) -> tuple[Counter[str], Counter[str], Counter[str]]:
    """Tests on a choice's class by file: in its own, elsewhere, and elsewhere in another form."""
    choices = choice_classes(known)
    own, elsewhere, otherwise = Counter[str](), Counter[str](), Counter[str]()
    for source in known.values():
        for module, _ in _choices_in(tested(source), source, known, choices):
            (own if module == source.module else elsewhere)[source.path] += 1
        for module, _ in _choices_in(asked_otherwise(source), source, known, choices):
            otherwise[source.path] += module != source.module
    return own, elsewhere, +otherwise


def _choices_in(
    expressions: Iterable[ast.expr], source: Source, known: Sources, choices: set[Key]
) -> Iterator[Key]:
    return (key for one in expressions for key in meant(one, source, known) if key in choices)


def names_by_file(known: Sources) -> Counter[str]:
    """How often `.name` is compared with a choice's name, by file outside choices."""
    names = choice_names(known)
    found = Counter[str]()
    for source in known.values():
        if not source.path.startswith(CHOICES):
            found[source.path] += sum(text in names for node in source.nodes for text in _compared(node))
    return +found


def _compared(node: ast.AST) -> list[str]:
    """The strings that `.name` is compared with."""
    match node:
        case ast.Compare(left=left, comparators=others) if any(map(_is_name, [left, *others])):
            return [text for part in [left, *others] for text in _texts(part)]
        case ast.Match(subject=subject, cases=cases) if _is_name(subject):
            inside = [part for case in cases for part in ast.walk(case.pattern)]
            return [
                text for part in inside if isinstance(part, ast.MatchValue) for text in _texts(part.value)
            ]
    return []


def _is_name(expression: ast.expr) -> bool:
    return isinstance(expression, ast.Attribute) and expression.attr == "name"


def _texts(expression: ast.expr) -> list[str]:
    match expression:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return [text for part in parts for text in _texts(part)]
    return []


# Files and functions


def importers(known: Sources) -> dict[str, set[str]]:
    """Module -> the modules that import it."""
    found: dict[str, set[str]] = defaultdict(set)
    for source in known.values():
        for module, name in source.imported.values():
            inside = f"{module}.{name}" if f"{module}.{name}" in known else module
            if inside in known and inside != source.module:
                found[inside].add(source.module)
    return found


def private_references(known: Sources) -> dict[str, int]:
    """Private functions, by file and line -> how often each is referenced."""
    used = {source.module: Counter(_words(source)) for source in known.values()}
    borrowers: dict[Key, set[str]] = defaultdict(set)
    for source in known.values():
        for key in source.imported.values():
            borrowers[key].add(source.module)
    return {
        f"{source.path}:{item.lineno} {item.name}": sum(
            used[module][item.name] for module in {source.module, *borrowers[source.module, item.name]}
        )
        for source in known.values()
        for item in source.functions()
        if item.name.startswith("_") and not item.name.startswith("__")
    }


def _words(source: Source) -> Iterator[str]:
    for node in source.nodes:
        match node:
            case ast.Name(id=word) | ast.Attribute(attr=word):
                yield word


def class_places(known: Sources) -> dict[str, list[str]]:
    """Class -> the files that define it, for those defined more than once."""
    found: dict[str, list[str]] = defaultdict(list)
    for source in known.values():
        for item in source.classes():
            found[item.name].append(source.path)
    return {name: places for name, places in sorted(found.items()) if len(places) > 1}


def function_places(known: Sources) -> dict[str, list[str]]:
    """Public function at the top level -> the files that define it, for those defined more than once."""
    found: dict[str, set[str]] = defaultdict(set)
    for source in known.values():
        for item in source.top:
            if isinstance(item, Function) and not item.name.startswith("_"):
                found[item.name].add(source.path)
    return {name: sorted(places) for name, places in sorted(found.items()) if len(places) > 1}


# Rows


def rank(values: Sequence[int], share: float) -> int:
    """The smallest value that at least this share of them does not pass."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]


def file_rows(known: Sources) -> Rows:
    """Files and their lines."""
    lines = [source.lines for source in known.values()]
    small = [
        source for source in known.values() if source.lines < SMALL and not source.path.endswith(NOT_SMALL)
    ]
    who = importers(known)
    lonely = sum(len(who[source.module]) == 1 for source in small)
    return {
        "files": f"{len(lines):,}",
        "lines": f"{sum(lines):,}",
        "lines of a file, median": f"{statistics.median(lines):g}",
        "lines of a file, 90 %": f"{rank(lines, 0.9)}",
        f"files under {SMALL} lines": f"{len(small)}",
        f"files under {SMALL} lines with a single importer": f"{lonely}",
    }


def function_rows(known: Sources) -> Rows:
    """Functions and their length."""
    lengths = {
        f"{source.path}:{item.lineno} {item.name}": (item.end_lineno or item.lineno) - item.lineno + 1
        for source in known.values()
        for item in source.functions()
    }
    references = private_references(known).values()
    return {
        "functions": f"{len(lengths):,}",
        "lines of a function, median": f"{statistics.median(lengths.values()):g}",
        "lines of a function, 90 %": f"{rank([*lengths.values()], 0.9)}",
        "lines of a function, the most": f"{max(lengths.values())}",
        "private functions": f"{len(references)}",
        "private functions referenced exactly once": f"{sum(count == 1 for count in references)}",
        "private functions never referenced": f"{sum(count == 0 for count in references)}",
    }


def choice_rows(known: Sources) -> Rows:
    """Tests on a choice, and where."""
    own, elsewhere, otherwise = tests_by_file(known)
    total = own.total() + elsewhere.total()
    asking = f"{total} in {len(own.keys() | elsewhere.keys())} files"
    return {
        "classes of choices": f"{len(choice_classes(known))}",
        "tests on a choice's class": asking,
        "  in the choice's own file": _total(own),
        "  elsewhere": _total(elsewhere),
        "  elsewhere, under choices": _total(elsewhere, inside=True),
        "  elsewhere, outside choices": _total(elsewhere, inside=False),
        "type(x) is A, tables by class and register(A), elsewhere": _total(otherwise),
        "a choice's name as text, outside choices": _total(names_by_file(known)),
    }


def _total(counts: Counter[str], inside: bool | None = None) -> str:
    kept = {
        path: count for path, count in counts.items() if inside is None or path.startswith(CHOICES) is inside
    }
    return f"{sum(kept.values())} in {len(kept)} file{'s' if len(kept) != 1 else ''}"


def name_rows(known: Sources) -> Rows:
    """How many names have two meanings."""
    return {
        "class names defined more than once": f"{len(class_places(known))}",
        "public function names in more than one file": f"{len(function_places(known))}",
    }


def elsewhere_rows(known: Sources) -> Rows:
    """Files that test on a choice's class defined elsewhere, those with the most first."""
    _, elsewhere, _ = tests_by_file(known)
    return {path: str(count) for path, count in elsewhere.most_common()}


def otherwise_rows(known: Sources) -> Rows:
    """Files that ask in another form."""
    _, _, otherwise = tests_by_file(known)
    return {path: str(count) for path, count in otherwise.most_common()}


def name_text_rows(known: Sources) -> Rows:
    """Files that compare a choice's name."""
    return {path: str(count) for path, count in names_by_file(known).most_common()}


TABLES = {
    "Files": file_rows,
    "Functions": function_rows,
    "Choices": choice_rows,
    "Names": name_rows,
    "Tests on a choice's class elsewhere, by file": elsewhere_rows,
    "type(x) is A, tables by class and register(A), by file": otherwise_rows,
    "A choice's name as text, by file": name_text_rows,
}


# Printing


def print_table(title: str, columns: Sequence[Rows], headings: Sequence[str]) -> None:
    """One row per label, one column per repository."""
    width = max(18, *(len(heading) + 2 for heading in headings))
    labels = dict.fromkeys(label for rows in columns for label in rows)
    if labels:
        print(f"\n{title:<{WIDTH}}" + "".join(f"{heading:>{width}}" for heading in headings))
    for label in labels:
        print(f"{label:<{WIDTH}}" + "".join(f"{rows.get(label, '-'):>{width}}" for rows in columns))


def print_places(title: str, places: dict[str, list[str]]) -> None:
    """Where each name is defined."""
    print(f"\n{title}")
    for name, files in places.items():
        print(f"  {name}: {', '.join(files)}")


def print_longest(known: Sources, count: int = 5) -> None:
    """The longest functions."""
    lengths = [
        ((item.end_lineno or item.lineno) - item.lineno + 1, f"{source.path}:{item.lineno} {item.name}")
        for source in known.values()
        for item in source.functions()
    ]
    print("\nLongest functions")
    for length, where in sorted(lengths, reverse=True)[:count]:
        print(f"  {length:>4}  {where}")


def main() -> None:
    """Measure each repository, and say where for the last one."""
    parser = argparse.ArgumentParser(description="The structure of the package, in numbers.")
    parser.add_argument("repos", nargs="*", type=Path, default=[HERE], metavar="REPO")
    repos: list[Path] = parser.parse_args().repos
    measured = [sources(repo.resolve()) for repo in repos]
    headings = [""] if len(repos) == 1 else [repo.resolve().name for repo in repos]
    for title, rows in TABLES.items():
        print_table(title, [rows(known) for known in measured], headings)
    print_longest(measured[-1])
    print_places("Class names defined more than once", class_places(measured[-1]))
    print_places("Public function names in more than one file", function_places(measured[-1]))


if __name__ == "__main__":
    main()
