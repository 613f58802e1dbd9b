"""Everything that can be set, with its documentation: the dataclasses and their docstrings are the source."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_args, get_type_hints

from vanishgrad import choices
from vanishgrad.choices.named import choices_of
from vanishgrad.config.location import choice_file, choice_names
from vanishgrad.config.setting import import_own
from vanishgrad.remedies import Remedy
from vanishgrad.run import GROUPS, SCALARS, Run

EXPERIMENT = "experiment"
NONE = re.compile(r"\bNone\b")
ARGUMENT = re.compile(r"    (\w+): (.*)")


@dataclass(frozen=True)
class Parameter:
    """A number, word or list that can be set. `key` is what is typed before `=`."""

    key: str
    default: Any
    meaning: str


@dataclass(frozen=True)
class Choice:
    """One choice of a group; `summary` ends in its source where it has one."""

    name: str
    summary: str
    parameters: list[Parameter] = field(default_factory=list)


@dataclass(frozen=True)
class ChoiceGroup:
    """A group; `default` is None where the data decides."""

    name: str
    default: str | None
    meaning: str
    choices: list[Choice]


def scalars() -> list[Parameter]:
    """The keys of the configuration that are no groups."""
    run = Run()  # with the depth that the model has of its own
    return [replace(item, default=getattr(run, item.key)) for item in _parameters(Run, "", SCALARS)]


def groups() -> list[ChoiceGroup]:
    """All groups: the choices that make a run, the remedy, and the curated experiments."""
    hints = get_type_hints(Run)
    import_own()
    own = [_group(name, (get_args(hints[name]) or (hints[name],))[0]) for name in GROUPS]
    return [*own, _group("remedy", Remedy), _experiments()]


def _group(name: str, protocol: type) -> ChoiceGroup:
    default = "none" if name == "remedy" else getattr(getattr(Run(), name), "name", None)
    kinds = sorted(choices_of(protocol).values(), key=lambda kind: (kind.name != default, _place(kind)))
    return ChoiceGroup(name, default, _summary(protocol), [_choice(name, kind) for kind in kinds])


def _place(kind: Any) -> int:
    """Where a choice stands among those that are exported; the user's own come last."""
    return choices.__all__.index(kind.__name__) if kind.__name__ in choices.__all__ else len(choices.__all__)


def _choice(group: str, kind: Any) -> Choice:
    names = [item.name for item in fields(kind)]
    return Choice(kind.name, _summary(kind), _parameters(kind, f"{group}.", names))


def _parameters(kind: Any, prefix: str, names: Sequence[str]) -> list[Parameter]:
    meanings, defaults = _arguments(kind), {item.name: item.default for item in fields(kind)}
    return [Parameter(f"{prefix}{name}", defaults[name], meanings.get(name, "")) for name in names]


def _experiments() -> ChoiceGroup:
    """Their files say in comments what they show; the first line is Hydra's, the second the usage."""
    names = sorted(choice_names(EXPERIMENT), key=lambda name: (name != "none", name))
    choices = [Choice(name, _comment(name)) for name in names]
    return ChoiceGroup(EXPERIMENT, "none", "Curated settings and sweeps.", choices)


def _comment(name: str) -> str:
    file = choice_file(EXPERIMENT, name)
    lines = [] if file is None else file.read_text(encoding="utf-8").splitlines()
    return " ".join(line[2:] for line in lines[2:] if line.startswith("# "))


def _summary(kind: Any) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())


def _arguments(kind: Any) -> dict[str, str]:
    """The section `Arguments:` of a docstring."""
    meanings: dict[str, str] = {}
    for line in (inspect.getdoc(kind) or "").partition("Arguments:\n")[2].splitlines():
        if not line.startswith("    "):
            break
        if match := ARGUMENT.match(line):
            meanings[match[1]] = match[2]
        else:
            last = next(reversed(meanings))
            meanings[last] += f" {line.strip()}"
    # docstrings speak Python, the command line YAML
    return {name: NONE.sub("null", meaning) for name, meaning in meanings.items()}
