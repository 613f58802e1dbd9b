"""A choice by its name: what `act="sigmoid"` stands for, and what is said of anything that is no choice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import is_dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, get_args, get_type_hints

from vanishgrad.errors import SettingError, one_of, short

CHOICES = "vanishgrad.choices."


def choices_of(protocol: type) -> dict[str, Any]:
    """Every choice of the group that follows `protocol`, by its name."""
    home = _home(protocol)
    kinds = [kind for kind in vars(import_module(home)).values() if isinstance(kind, type)]
    own = [kind for kind in kinds if is_dataclass(kind) and kind.__module__.startswith(home)]
    names = {kind: getattr(kind, "name", None) for kind in own}
    return {name: kind for kind, name in names.items() if isinstance(name, str)}


@lru_cache
def protocols_of(run: type, groups: Iterable[str]) -> dict[str, type]:
    """The protocol of each group, as the fields of `run` are annotated."""
    hints = get_type_hints(run)
    return {group: (get_args(hints[group]) or (hints[group],))[0] for group in groups}


def resolved(group: str, value: object, protocol: type) -> Any:
    """The choice that `value` is or names, with its defaults where it is a name.

    Raises:
        SettingError: for a name that there is not, and for what is no choice of this group.
    """
    if isinstance(value, str):
        kinds = choices_of(protocol)
        one_of(group, value, kinds)
        return kinds[value]()
    if _is_choice(value) and _belongs(type(value), protocol):
        return value
    raise SettingError(_refusal(group, value, protocol))


def _refusal(group: str, value: object, protocol: type) -> str:
    """What is wrong with a value that is no choice of the group, and what would be right."""
    kinds = choices_of(protocol)
    if value in kinds.values():
        name = value.__name__  # type: ignore[attr-defined]
        return f"{group}={name}: is the class; give an object, {name}(), or the name, {group}={value.name!r}"  # type: ignore[attr-defined]
    if isinstance(value, type):
        what = f"{group}={value.__name__}: is the class {_path(value)}"
    elif _is_choice(value):
        what = f"{group}={short(value)}: is no choice of {group}"
    else:
        what = f"{group}={short(value)}: is of the type {_path(type(value))}"
    wanted = getattr(value, "__name__", type(value).__name__)  # nn.Sigmoid() reminds of Sigmoid()
    names = [kind.__name__ for kind in kinds.values()]
    example = wanted if wanted in names else names[0]
    return (
        f"{what}; give the name of a choice, or an object such as {_home(protocol)}.{example}(); "
        f"choose one of {', '.join(kinds)}"
    )


def _path(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _is_choice(value: object) -> bool:
    named = isinstance(getattr(value, "name", None), str)
    return is_dataclass(value) and not isinstance(value, type) and named


def _belongs(kind: type, protocol: type) -> bool:
    """Whether a choice is of the group; the user's own may stand in any module."""
    return not kind.__module__.startswith(CHOICES) or kind.__module__.startswith(_home(protocol))


def _home(protocol: type) -> str:
    """`vanishgrad.choices.GROUP`."""
    return ".".join(protocol.__module__.split(".")[:3])
