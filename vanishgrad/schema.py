"""What a file must be to be read: a regular file, strict JSON, and in it what its schema says.

A folder may come from anywhere: from a crash, another program, an archive, an attacker. Whatever is read of
it comes through here, and what is wrong with it is a `Fault` in words that name the place in the file.
"""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, Protocol
from zipfile import ZipFile

from vanishgrad.errors import short

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEGABYTE = 10**6
LARGEST = 64 * MEGABYTE  # of a JSON file of a run, which has some kilobytes
LARGEST_TABLE = 4_000 * MEGABYTE
DEEPEST = 64  # objects and lists in one another
DIGITS = 308  # of an integer that a float can hold
MOST = 2**53  # up to here a float holds every integer


class Fault(ValueError):
    """What is wrong with a file: `is not JSON`; or with something in it: `metrics must be an object`."""

    def of(self, file: str) -> str:
        """The same about a file: `run.json is not JSON`, `run.json: metrics must be an object`."""
        return f"{file}: {self}" if isinstance(self, Misfit) else f"{file} {self}"


class Misfit(Fault):
    """What is wrong with something in a file."""


# Files.

KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
)  # fmt: skip


def opened(path: Path, largest: int = LARGEST_TABLE) -> BinaryIO:
    """Open a regular file for reading; nothing that could keep a reader waiting, or never ends.

    Arguments:
        path: of the file; a link to one will do.
        largest: bytes from which on it is not read.

    Raises:
        FileNotFoundError: when there is nothing of that name.
        Fault: when it is something else, cannot be opened, or is too large.
    """
    try:
        found = os.stat(path)
        _refuse_kind(found.st_mode)
        file = open(path, "rb", opener=_at_once)  # noqa: SIM115
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise Fault("is a link to nothing") from None
        raise FileNotFoundError(path) from None
    except OSError as error:
        raise Fault(f"is not readable: {error.strerror}") from None
    if found.st_size > largest:
        file.close()
        raise Fault(f"has {found.st_size / MEGABYTE:,.0f} MB; more than {largest // MEGABYTE:,} are not read")
    return file


def _at_once(path: str, flags: int) -> int:
    """Open without waiting, should a pipe have taken the file's place since it was looked at."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _refuse_kind(mode: int) -> None:
    for is_kind, name in KINDS:
        if is_kind(mode):
            raise Fault(f"is {name}, not a file")


def content(path: Path, largest: int = LARGEST) -> bytes:
    """All of a regular file; see `opened`."""
    with opened(path, largest) as file:
        try:
            return file.read()
        except OSError as error:
            raise Fault(f"is not readable: {error.strerror}") from None
        except MemoryError:
            raise Fault("does not fit into memory") from None


def is_there(path: Path) -> bool:
    """Whether something has the name, be it a link to nothing."""
    return os.path.lexists(path)


# JSON.


def parsed(data: bytes) -> Any:
    """The value of strict JSON in UTF-8.

    Raises:
        Fault: for what is no JSON, names a key twice, is nested too deeply, or has a number that no float
            holds.
    """
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_constant, parse_int=_integer,
            parse_float=_float,
        )  # fmt: skip
    except UnicodeDecodeError as error:
        raise Fault(f"is not text in UTF-8, at byte {error.start}") from None
    except RecursionError:
        raise Fault("is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise Fault(f"is not JSON: {error.msg} in line {error.lineno}") from None
    if text.count("{") + text.count("[") > DEEPEST:
        _refuse_depth(value)
    if "\\u" in text:
        _refuse_half_characters(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise Fault(f"has the key {short(next(name for name in names if names.count(name) > 1))} twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise Fault(f"is not strict JSON: {name} must be text, as in {json.dumps(name)}")


def _integer(digits: str) -> int:
    if len(digits) > DIGITS:
        raise Fault(f"has a number of {len(digits)} digits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise Fault(f"has a number that no float holds: {short(digits)[1:-1]}")
    return value


def _refuse_depth(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return
    raise Fault("is nested too deeply")


def _parts(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _refuse_half_characters(value: Any) -> None:
    """Text with one half of a character, as `\\ud800`, can be written nowhere."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise Fault(f"has text with half a character, {short(error.object[error.start])}") from None


# Arrays.

LARGEST_ARRAY = 256 * MEGABYTE


def arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file; none that is an object, which would be code.

    Raises:
        FileNotFoundError: when there is no such file.
        Fault: when it is not a file of arrays of numbers.
    """
    import numpy as np

    with opened(path) as file:
        try:
            with ZipFile(file) as parts:
                large = [part.filename for part in parts.infolist() if part.file_size > LARGEST_ARRAY]
            file.seek(0)
            with np.load(file, allow_pickle=False) as stored:
                found = {name: stored[name] for name in stored.files} if not large else {}
        except (Exception, MemoryError) as error:  # whatever a decoder makes of bytes that are no archive
            raise Fault(f"is not a file of arrays ({short(str(error))[1:-1]})") from None
    if large:
        raise Fault(f"is not read: {short(large[0])} has more than {LARGEST_ARRAY // MEGABYTE} MB")
    for name, array in found.items():
        if array.dtype.kind not in "biuf":
            raise Misfit(f"{name} must be an array of numbers, is one of {array.dtype}")
    return found


def fit(found: Mapping[str, NDArray[Any]], axes: Mapping[str, str]) -> None:
    """Refuse arrays whose axes are not as long as those of the same letter.

    Arguments:
        found: the arrays by name.
        axes: of those that must be there a letter for each axis; `.` stands for any length.

    Example:
        >>> import numpy as np
        >>> fit({"x": np.ones(3), "loss": np.ones((2, 4))}, {"x": "x", "loss": "yx"})
        Traceback (most recent call last):
        vanishgrad.schema.Misfit: loss must have the shape (., 3), has (2, 4)
    """
    lengths: dict[str, int] = {}
    for name, letters in axes.items():
        if name not in found:
            raise Misfit(f"{name} is missing")
        shape = found[name].shape
        wanted = [lengths.get(letter, ".") for letter in letters]
        pairs = zip(wanted, shape, strict=False)
        if len(shape) != len(letters) or 0 in shape or any(one not in (".", size) for one, size in pairs):
            raise Misfit(f"{name} must have the shape ({', '.join(map(str, wanted))}), has {shape}")
        lengths |= {letter: size for letter, size in zip(letters, shape, strict=True) if letter != "."}


# What a value may be.


class Kind(Protocol):
    """A kind of values of JSON."""

    def check(self, value: Any, place: str) -> None:
        """Raise a `Fault` unless `value`, which stands at `place`, is of this kind."""


@dataclass(frozen=True)
class Plain:
    """A value without parts.

    Arguments:
        rule: what it must be, in words.
        holds: whether a value is.
    """

    rule: str
    holds: Callable[[Any], bool]

    def check(self, value: Any, place: str) -> None:
        if not self.holds(value):
            _refuse(place, self.rule, value)


@dataclass(frozen=True)
class OrNull:
    """Null, or another kind."""

    kind: Kind

    def check(self, value: Any, place: str) -> None:
        if value is not None:
            self.kind.check(value, place)


@dataclass(frozen=True)
class ListOf:
    """A list of values of one kind."""

    kind: Kind

    def check(self, value: Any, place: str) -> None:
        if not isinstance(value, list):
            _refuse(place, "a list", value)
        for number, one in enumerate(value):
            self.kind.check(one, f"{place}[{number}]")


@dataclass(frozen=True)
class Object:
    """An object with these keys, of which only some must be there, and others.

    Arguments:
        keys: kinds of the values of known keys.
        needed: those that must be there.
        others: kind of the values of the other keys.
    """

    keys: Mapping[str, Kind] = field(default_factory=dict)
    needed: tuple[str, ...] = ()
    others: Kind | None = None

    def check(self, value: Any, place: str) -> None:
        if not isinstance(value, dict):
            _refuse(place, "an object", value)
        for name in self.needed:
            if name not in value:
                raise Misfit(f"{place} has no {name}") if place else Fault(f"has no {name}")
        for name, one in value.items():
            kind = self.keys.get(name, self.others)
            if kind is not None:
                kind.check(one, f"{place}.{_named(name)}" if place else _named(name))


def _named(key: str) -> str:
    return key if key.replace(".", "_").isidentifier() and len(key) < 60 else short(key)


def _refuse(place: str, rule: str, value: Any) -> NoReturn:
    said = f"must be {rule}, is {_shown(value)}"
    raise Misfit(f"{place} {said}") if place else Fault(said)


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return {None: "null", True: "true", False: "false"}[value] if _is_word(value) else short(value)


def _is_word(value: Any) -> bool:
    return value is None or isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return (isinstance(value, int | float) and not isinstance(value, bool)) or value in ("nan", "inf", "-inf")


TEXT = Plain("text", lambda value: isinstance(value, str))
TRUTH = Plain("true or false", lambda value: isinstance(value, bool))
INTEGER = Plain("an integer", _is_integer)
COUNT = Plain("an integer from 0 on", lambda value: _is_integer(value) and 0 <= value <= MOST)
NUMBER = Plain('a number, or "nan", "inf", "-inf"', _is_number)


def one_of(choices: Sequence[str]) -> Kind:
    """One of some texts."""
    return Plain(f"one of {', '.join(choices)}", lambda value: value in choices)


# The files of runs and sweeps.

STATUSES = ("running", "completed", "diverged", "interrupted", "failed")
CHOICE = Object({"name": OrNull(TEXT)})


@dataclass(frozen=True)
class Setting:
    """A setting: numbers and words as they are, a choice as an object with its name and its parameters."""

    def check(self, value: Any, place: str) -> None:
        Object().check(value, place)
        for name, one in value.items():
            if isinstance(one, dict):
                CHOICE.check(one, f"{place}.{_named(name)}")


METRICS = OrNull(Object(others=OrNull(NUMBER)))
RUN = Object(
    {
        "schema_version": COUNT, "status": one_of(STATUSES), "choices": OrNull(Setting()),
        "effective": OrNull(Setting()), "answers": OrNull(Object(others=TRUTH)),
        "fitting": OrNull(ListOf(TEXT)), "config": OrNull(Object()), "overrides": OrNull(ListOf(TEXT)),
        "seed": OrNull(INTEGER), "parameters": OrNull(COUNT), "steps": OrNull(COUNT),
        "seconds": OrNull(NUMBER), "metrics": OrNull(Object({"final": METRICS, "best": METRICS})),
        "targets": OrNull(Object(others=TEXT)),
        "baseline": OrNull(
            Object({"metric": TEXT, "value": OrNull(NUMBER), "source": OrNull(TEXT)})
        ),
        "diverged_at": OrNull(
            Object(
                {"step": COUNT, "layer": OrNull(COUNT), "name": OrNull(TEXT), "what": OrNull(TEXT)},
                ("step",),
            )
        ),
        "stopped_on": OrNull(TEXT), "error": OrNull(TEXT), "name": OrNull(TEXT),
        "versions": OrNull(Object(others=OrNull(TEXT))), "device": OrNull(TEXT),
    },
    ("status",),
)  # fmt: skip
THEORY = Object({"profile": OrNull(ListOf(OrNull(NUMBER))), "trainable_depth": OrNull(NUMBER)})
JOB = Object(
    {"number": COUNT, "folder": TEXT, "label": TEXT, "overrides": ListOf(TEXT), "setting": Setting()},
    ("number", "folder", "setting"),
)
SWEEP = Object(
    {"versions": Object(others=OrNull(TEXT)), "batches": ListOf(COUNT), "jobs": ListOf(JOB)},
    ("versions", "batches", "jobs"),
)
OUTCOME = Object(
    {
        "number": COUNT, "status": one_of(STATUSES), "seconds": NUMBER,
        "metrics": Object(others=OrNull(NUMBER)), "steps": COUNT, "diverged_at": OrNull(COUNT),
        "error": OrNull(TEXT), "log": OrNull(TEXT),
        "summary": Object({
            "best": METRICS, "slopes": Object(others=NUMBER), "baseline": RUN.keys["baseline"],
            "verdict": TEXT,
        }),
    },
    ("number", "status", "seconds", "metrics"),
)  # fmt: skip


def checked(data: bytes, kind: Kind) -> Any:
    """The value of JSON that is of a kind.

    Raises:
        Fault: with the place and the rule.

    Example:
        >>> checked(b'{"status": "completed", "metrics": []}', RUN)
        Traceback (most recent call last):
        vanishgrad.schema.Misfit: metrics must be an object, is a list
    """
    value = parsed(data)
    kind.check(value, "")
    return value
