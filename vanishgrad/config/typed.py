"""A value from a config file or a command line -> the type that a dataclass field asks for."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from vanishgrad.errors import SettingError, one_of

WORDS = {int: "an integer", float: "a number", str: "text", bool: "true or false", NoneType: "null"}


def typed(key: str, value: Any, annotation: Any) -> Any:
    """`value` as a value of the type `annotation`.

    An integer stands for a float, a list for a tuple, and where text is wanted, or one of a few words, a
    number or a truth value is the text that was typed. True is no integer.

    Raises:
        SettingError: when the value has another type.
    """
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    for kind in kinds:
        if _fits(value, kind):
            return _cast(value, kind)
    words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    if (words or str in kinds) and isinstance(value, str | bool | int | float):
        return shown(value)  # of words, its owner says which there are
    if words and all(get_origin(kind) is Literal or kind is NoneType for kind in kinds):
        one_of(key, shown(value), words + ["null"] * (NoneType in kinds))
    raise SettingError(f"{key}={shown(value)}: must be {_or(map(_words, kinds))}")


def shown(value: Any) -> str:
    """A value as it is typed on a command line."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(shown, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}: {shown(item)}' for key, item in value.items())}}}"
    return _digits(value) if isinstance(value, int) else str(value)


def _digits(value: int) -> str:
    """Python refuses to write out integers of thousands of digits."""
    return str(value) if value.bit_length() < 256 else f"an integer of {value.bit_length()} bits"


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is tuple:
        return isinstance(value, list) and all(_fits(item, get_args(kind)[0]) for item in value)
    if isinstance(value, bool):
        return kind is bool
    if kind is float and isinstance(value, int):
        return abs(value) <= sys.float_info.max
    return isinstance(value, kind)


def _cast(value: Any, kind: Any) -> Any:
    if get_origin(kind) is tuple:
        return tuple(_cast(item, get_args(kind)[0]) for item in value)
    return float(value) if kind is float else value


def _words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return _or(get_args(kind))
    return f"a list of {_words(get_args(kind)[0])[2:]}s" if get_origin(kind) is tuple else WORDS[kind]


def _or(words: Iterable[str]) -> str:
    return " or ".join(words)
