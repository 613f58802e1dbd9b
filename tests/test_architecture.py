"""The house: imports only go down, and only the front door knows Hydra."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from vanishgrad import choices
from vanishgrad.choices.named import choices_of, protocols_of
from vanishgrad.run import GROUPS, Run

REPOSITORY = Path(__file__).parents[1]

# From the ground up: a room may import the rooms before it.
HOUSE = (
    "version",
    "renamed",
    "errors",
    "printing",
    "interruption",
    "forks",
    "files",
    "streams",
    "schema",
    "rows",
    "theory",
    "modules",
    "records",
    "folders",
    "remedies",
    "diagnosis",
    "choices",
    "run",
    "description",
    "prediction",
    "measure",
    "engine",
    "sweeps",
    "cures",
    "report",
    "lab",
    "config",
    "cli",
    "hydra_plugins",
)
KNOW_HYDRA = {"config", "cli", "hydra_plugins"}
# Reports and diagnoses are made of files: they read run folders of any origin, on machines that cannot train.
BARRED = {
    "diagnosis": {"torch"},
    "report": {"torch", "vanishgrad.measure", "vanishgrad.engine"},
}


def imported(package: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of everything imported anywhere in `tree`, a module inside `package`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                above = package.split(".")[: package.count(".") + 2 - level] if level else []
                source = ".".join([*above, module] if module else above)
                yield from ((node.lineno, f"{source}.{alias.name}") for alias in names)
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def room(module: str) -> str:
    """`vanishgrad.engine.train` -> `engine`; '' for the top package and for other people's modules."""
    first, _, rest = module.partition(".")
    if first == "hydra_plugins":
        return "hydra_plugins" if rest.startswith("vanishgrad") else ""
    return rest.partition(".")[0] if first == "vanishgrad" else ""


def under(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def offence(here: str, name: str) -> str | None:
    """Why code in the room `here` may not import `name`, or None."""
    if here not in KNOW_HYDRA and (under(name, "hydra") or under(name, "omegaconf")):
        return f"only {', '.join(sorted(KNOW_HYDRA))} may import {name}"
    if any(under(name, barred) for barred in BARRED.get(here, ())):
        return f"{here} never imports {name}"
    if here in ("", "__main__") or not (under(name, "vanishgrad") or room(name)):
        return None
    if room(name).startswith("__"):
        return None  # vanishgrad.__version__
    if room(name) not in HOUSE:
        return f"{name} is not a room of the house: import it from where it is defined"
    if HOUSE.index(room(name)) > HOUSE.index(here):
        return f"{name} is above {here}"
    return None


def offences(module: str, source: str, is_package: bool = False) -> list[str]:
    """Every forbidden import in the `source` of the dotted `module`."""
    here = room(module)
    if here not in ("", "__main__", *HOUSE):
        return [f"{module}: has no place in the house"]
    package = module if is_package else module.rpartition(".")[0]
    found = [(line, offence(here, name)) for line, name in imported(package, ast.parse(source))]
    return [f"{module}:{line}: {reason}" for line, reason in found if reason]


def python_files(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (REPOSITORY / folder).rglob("*.py"))


def dotted(file: Path) -> str:
    parts = file.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_imports_only_go_down() -> None:
    files = python_files("vanishgrad", "hydra_plugins")
    assert any(room(dotted(file)) for file in files)
    found = [
        line for file in files for line in offences(dotted(file), file.read_text(), file.stem == "__init__")
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("vanishgrad.theory.profile", "from vanishgrad.run import Run"),
        ("vanishgrad.theory.profile", "import vanishgrad.run"),
        ("vanishgrad.theory.profile", "from vanishgrad import run"),
        ("vanishgrad.theory.profile", "from ..run import Run"),
        ("vanishgrad.theory.profile", "def late():\n    from vanishgrad.run import Run"),
        ("vanishgrad.theory.profile", "if TYPE_CHECKING:\n    from vanishgrad.run import Run"),
        ("vanishgrad.theory.profile", "import importlib\nimportlib.import_module('vanishgrad.run')"),
        ("vanishgrad.choices.model.feedforward", "from vanishgrad import train"),
        ("vanishgrad.choices.model.feedforward", "import vanishgrad"),
        ("vanishgrad.run", "import hydra"),
        ("vanishgrad.run", "def late():\n    from hydra.utils import instantiate"),
        ("vanishgrad.run", "from omegaconf import DictConfig"),
        ("vanishgrad", "import hydra"),
        ("vanishgrad.cli", "from hydra_plugins.vanishgrad_launcher import launcher"),
        ("vanishgrad.report.page", "import torch.nn"),
        ("vanishgrad.diagnosis.rules", "import torch"),
        ("vanishgrad.report.page", "from vanishgrad.models import build"),
        ("vanishgrad.report.page", "from vanishgrad import training"),
        ("vanishgrad.report.page", "def late():\n    from vanishgrad.measure import GradientMonitor"),
        ("vanishgrad.extras", "import math"),
    ],
)
def test_the_import_rule_catches(module: str, source: str) -> None:
    assert len(offences(module, source)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("vanishgrad.run", "from vanishgrad.choices.activation import ReLU"),
        ("vanishgrad.choices.model.feedforward", "from . import composition\nfrom ..run import Run"),
        ("vanishgrad.cli", "import hydra\nfrom vanishgrad import __version__"),
        ("vanishgrad.config", "from hydra.core.config_store import ConfigStore"),
        ("vanishgrad", "from vanishgrad.engine import train"),
        ("vanishgrad.__main__", "from vanishgrad.cli import main"),
        ("vanishgrad.choices.model.feedforward", "import hydrangea\nimport vanishgrad_peer"),
        ("hydra_plugins.vanishgrad_launcher.launcher", "import hydra\nfrom vanishgrad.config import to_run"),
    ],
)
def test_the_import_rule_allows(module: str, source: str) -> None:
    assert not offences(module, source)


def test_a_package_resolves_its_relative_imports_from_itself() -> None:
    assert not offences("vanishgrad.engine", "from .train import train", is_package=True)
    assert offences("vanishgrad.engine", "from ..cli import main", is_package=True)


def test_no_file_has_a_name_that_says_nothing() -> None:
    vague = {"utils", "util", "common", "helpers", "helper", "base", "misc"}
    files = python_files("vanishgrad", "hydra_plugins", "scripts", "tests")
    assert not [str(file) for file in files if vague & {file.stem, file.parent.name}]


def test_hydra_plugins_stays_a_namespace_package() -> None:
    assert not (REPOSITORY / "hydra_plugins" / "__init__.py").exists()


def choice_classes() -> dict[str, set[str]]:
    """The classes of all choices by name, and the modules that may look at them: their own."""
    homes: dict[str, set[str]] = {}
    for protocol in protocols_of(Run, GROUPS).values():
        for kind in choices_of(protocol).values():
            if kind.__module__.startswith("vanishgrad."):
                homes.setdefault(kind.__name__, set()).add(kind.__module__)
    return homes


def class_tests(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, class) of every isinstance, issubclass, `type(x) is` and `case Class()` in a module."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, kinds]):
                yield from ((node.lineno, name.id) for name in ast.walk(kinds) if isinstance(name, ast.Name))
            case ast.Compare(left=ast.Call(func=ast.Name(id="type")), comparators=others):
                yield from ((node.lineno, name.id) for name in others if isinstance(name, ast.Name))
            case ast.MatchClass(cls=ast.Name(id=name)):
                yield node.lineno, name


def imported_choices(tree: ast.AST, homes: dict[str, set[str]]) -> dict[str, str]:
    """The choices that a module imports, by the names that it gives them."""
    return {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vanishgrad.choices")
        for alias in node.names
        if alias.name in homes
    }


# Places that may look at a choice's class, each with its reason. Today there is none.
MAY_LOOK: dict[tuple[str, str], str] = {}


def test_nobody_looks_at_a_choices_class_but_its_own_file() -> None:
    homes = choice_classes()
    looks = []
    for file in python_files("vanishgrad", "hydra_plugins"):
        tree = ast.parse(file.read_text())
        names = imported_choices(tree, homes)
        for line, name in class_tests(tree):
            if name in names and (dotted(file), names[name]) not in MAY_LOOK:
                looks.append(f"{dotted(file)}:{line}: asks whether something is a {names[name]}")
    assert not looks, "\n".join(looks)


@pytest.mark.parametrize(
    "source",
    [
        "isinstance(x, ReLU)",
        "isinstance(x, LSTM | ReLU)",
        "isinstance(x, (int, ReLU))",
        "type(x) is ReLU",
        "match x:\n    case ReLU():\n        pass",
    ],
)
def test_the_rule_on_classes_catches(source: str) -> None:
    tree = ast.parse(f"from vanishgrad.choices.activation import ReLU\n{source}")
    names = imported_choices(tree, choice_classes())
    assert "ReLU" in {names.get(name) for _, name in class_tests(tree)}


def test_every_choice_is_exported() -> None:
    missing = set(choice_classes()) - set(choices.__all__)
    assert not missing, f"add to vanishgrad/choices/__init__.py: {', '.join(sorted(missing))}"
