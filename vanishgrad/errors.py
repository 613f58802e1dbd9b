"""The one error a user can cause, a setting that cannot be run, and the one that a disk can."""

from __future__ import annotations

import math
from collections.abc import Iterable
from difflib import get_close_matches

LONGEST = 60  # characters of a value in a message
MOST = 100  # of what was typed


class SettingError(ValueError):
    """A setting was refused. The message names the value, the rule and the valid choices."""


class WriteError(OSError):
    """A file that could not be written: `DIR/run.json: cannot be written: No space left on device`."""

    def __str__(self) -> str:
        return f"{self.filename}: cannot be written: {self.strerror}"


def error_line(error: BaseException) -> str:
    """What is said of an error in one place: its type too, unless its message is a sentence of ours."""
    return str(error) if isinstance(error, (SettingError, WriteError)) else f"{type(error).__name__}: {error}"


def require(condition: bool, message: str) -> None:
    """Raise `SettingError(message)` unless `condition` holds."""
    if not condition:
        raise SettingError(message)


def one_of(key: str, value: object, choices: Iterable[str]) -> None:
    """Refuse a `value` of the setting `key` that is not among `choices`, and suggest the nearest."""
    names = list(choices)
    if value not in names:
        raise SettingError(f"{key}={value}: choose one of {', '.join(names)}{meant(str(value), names)}")


def meant(name: str, names: Iterable[str]) -> str:
    """` (did you mean leaky_relu?)` for LeakyReLU or leaky-relu; empty where no name is near.

    >>> meant("Leaky-Relu", ["relu", "leaky_relu"])
    ' (did you mean leaky_relu?)'
    """
    plain = {_plain(one): one for one in names}
    near = get_close_matches(_plain(name), plain, n=1)
    return f" (did you mean {plain[near[0]]}?)" if near else ""


def _plain(name: str) -> str:
    return name.casefold().replace("-", "_")


def instance_of(call: str, value: object, kind: type | tuple[type, ...], rule: str) -> None:
    """Refuse an argument of another type: `train('depth=3'): takes ...`.

    Arguments:
        call: the name of the function.
        value: what it was given.
        kind: what it takes.
        rule: the same in words, with an example.
    """
    require(isinstance(value, kind), f"{call}({short(value)}): takes {rule}")


def short(value: object) -> str:
    """A value as Python shows it, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def cut(text: str) -> str:
    """What was typed on one line, its end left out where it is long."""
    line = text if text.isprintable() else repr(text)[1:-1]
    return line if len(line) <= MOST else f"{line[:MOST]}..."


def writable(what: str, text: str) -> None:
    """Refuse text with half a character, which Python makes of bytes that are no UTF-8 and cannot write."""
    halves = any("\ud800" <= sign <= "\udfff" for sign in text)
    require(not halves, f"{cut(what)}: has bytes or half a character that are not text in UTF-8")


def at_least(key: str, value: float, least: float) -> None:
    """Refuse a number below `least`, and one that is not finite."""
    require(value >= least, f"{key}={value}: must be at least {least}")
    require(value < math.inf, f"{key}={value}: must be finite")


def between(key: str, value: float, least: float, most: float) -> None:
    """Refuse a number below `least` or above `most`."""
    at_least(key, value, least)
    require(value <= most, f"{key}={value}: must be at most {most}")


def positive(key: str, value: float) -> None:
    """Refuse a number that is not above zero, and one that is not finite."""
    require(value > 0, f"{key}={value}: must be above 0")
    require(value < math.inf, f"{key}={value}: must be finite")
