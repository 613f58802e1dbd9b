"""A choice by its name: what `act="sigmoid"` stands for, and what is said of anything that is no choice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args, get_type_hints

from vanishgrad.errors import SettingError, one_of, short

C = TypeVar("C")

if TYPE_CHECKING:

    class Named(Generic[C]):
        """A field that is a choice and may be given as the name of one."""

        def __get__(self, run: object, kind: type | None = None) -> C: ...
        def __set__(self, run: object, value: C | str) -> None: ...

else:

    class Named:
        """A field that may be given as the name of a choice; here, the protocol of the choice."""

        def __class_getitem__(cls, protocol: Any) -> Any:
            return protocol


def choices_of(protocol: type) -> dict[str, Any]:
    """Every choice of the group that inherits `protocol`, by its name; the user's own once it is imported.

    Where two have one name, it stands for the one that was defined first, so that nobody's own choice takes
    the place of a shipped one.
    """
    kinds: dict[str, Any] = {}
    for kind in kinds_of(protocol):
        kinds.setdefault(kind.name, kind)
    return kinds


def kinds_of(protocol: type) -> Iterator[Any]:
    """The classes of a group's choices, in the order of their definition."""
    kinds: list[Any] = protocol.__subclasses__()
    for kind in kinds:
        if isinstance(vars(kind).get("name"), str) and is_dataclass(kind):
            yield kind
        yield from kinds_of(kind)


@lru_cache
def protocols_of(run: type, groups: Iterable[str]) -> dict[str, type]:
    """The protocol of each group, as the fields of `run` are annotated."""
    hints = get_type_hints(run)
    return {group: (get_args(hints[group]) or (hints[group],))[0] for group in groups}


def is_choice(kind: type, protocol: type) -> bool:
    """Whether a class is a choice of the group that `protocol` stands for."""
    return is_dataclass(kind) and protocol in kind.__mro__ and isinstance(getattr(kind, "name", None), str)


def resolved(group: str, value: object, protocol: type) -> Any:
    """The choice that `value` is or names, with its defaults where it is a name.

    Raises:
        SettingError: for a name that there is not, and for what is no choice of this group.
    """
    if isinstance(value, str):
        kinds = choices_of(protocol)
        one_of(group, value, kinds)
        return kinds[value]()
    if is_choice(type(value), protocol):
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
    elif is_dataclass(value) and hasattr(value, "name"):
        what = f"{group}={short(value)}: does not inherit {_path(protocol)}"
    else:
        what = f"{group}={short(value)}: is of the type {_path(type(value))}"
    wanted = getattr(value, "__name__", type(value).__name__)  # nn.Sigmoid() reminds of Sigmoid()
    names = [kind.__name__ for kind in kinds.values()]
    example = wanted if wanted in names else names[0]
    return (
        f"{what}; give the name of a choice, or an object such as vanishgrad.choices.{example}(); "
        f"choose one of {', '.join(kinds)}"
    )


def _path(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
