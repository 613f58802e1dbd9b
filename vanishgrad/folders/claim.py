"""Folders that are about to be written: made, or refused before any work, with what to do instead."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from vanishgrad.errors import SettingError, WriteError, require
from vanishgrad.folders.content import Found, Kind, found_in
from vanishgrad.folders.lock import leader_of, locked, unwritable


def make_folder(key: str, folder: Path) -> list[Path]:
    """Make a folder and those above it; those that are new, the lowest first.

    Arguments:
        key: what it was given as, for messages.
        folder: its path.

    Raises:
        SettingError: when it cannot be made, with the system's reason.
    """
    require("\0" not in str(folder), f"{key}={str(folder)!r}: a name has no zero byte")
    missing: list[Path] = []
    for path in (folder, *folder.parents):
        if os.path.isdir(path):
            break
        which = "" if path == folder else f"{path} "
        is_free = not os.path.lexists(path) or os.path.isdir(path)  # since a moment ago
        require(is_free, f"{key}={folder}: {which}is a file, not a folder")
        missing.append(path)
    new: list[Path] = []
    try:
        for path in reversed(missing):
            with suppress(FileExistsError):
                path.mkdir()
                new.insert(0, path)
    except OSError as error:
        remove_empty(new)
        raise unwritable(key, folder, error) from None
    return new


def remove_empty(folders: Sequence[Path]) -> None:
    """Take away folders in which there is nothing."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def reserve_folder(key: str, parent: Path, name: str) -> list[Path]:
    """Make `parent/name`, or `parent/name_2`, `_3`, ...: the first that nobody else has taken.

    All that is new, the lowest first.
    """
    new = make_folder(key, parent)
    number = 1
    while True:
        folder = parent / (name if number == 1 else f"{name}_{number}")
        try:
            folder.mkdir()
            return [folder, *new]
        except FileExistsError:
            number += 1
        except OSError as error:
            remove_empty(new)
            raise unwritable(key, folder, error) from None


@contextmanager
def new_folder(
    key: str, folder: Path, kind: Kind, *, overwrite: bool = False, made: Sequence[Path] = ()
) -> Iterator[None]:
    """Inside, `folder` is there for a run or a sweep that begins, and nobody else's.

    What is new of it goes again if it is empty when a `SettingError` is raised inside, or Ctrl-C.

    Arguments:
        key: what it was given as, for messages.
        folder: its path.
        kind: what is to be written in it.
        overwrite: whether another of its kind that is in it goes, once what is inside has `vacated` it.
        made: what has been made for it already.

    Raises:
        SettingError: when it holds a run or a sweep, is in use or cannot be written.
    """
    _refuse_led(key, folder)
    new = [*made, *make_folder(key, folder)]
    try:
        with locked(key, folder, whole=kind == "sweep"):
            refuse_occupied(key, folder, kind, overwrite)
            yield
    except (SettingError, KeyboardInterrupt):
        remove_empty(new)
        raise


@contextmanager
def existing_folder(key: str, folder: Path, *, whole: bool = False) -> Iterator[None]:
    """Inside, a folder with something to go on with is nobody else's. One that is not there is not made."""
    _refuse_led(key, folder)
    if not os.path.isdir(folder):
        yield
        return
    with locked(key, folder, whole=whole):
        yield


@contextmanager
def written_folder(key: str, folder: Path, *, whole: bool = False) -> Iterator[None]:
    """Inside, `folder` is there for files that stand beside whatever is in it.

    Arguments:
        key: what it was given as, for messages.
        folder: its path.
        whole: whether all that is inside is its own too.

    Raises:
        SettingError: when it, or a file in it, cannot be written, or somebody else is at it.
    """
    new = make_folder(key, folder)
    try:
        with locked(key, folder, whole=whole):
            yield
    except WriteError as error:
        raise SettingError(f"{key}={folder}: {error}") from None
    except (SettingError, KeyboardInterrupt):
        remove_empty(new)
        raise


def refuse_occupied(key: str, folder: Path, kind: Kind, overwrite: bool = False) -> None:
    """Refuse a folder with something that would be destroyed, unless another of its kind is meant to be."""
    found = found_in(folder)
    if found is not None and not (overwrite and found.kind == kind):
        raise SettingError(f"{key}={folder}: holds {found.words}; {_ways(key, found, kind)}")


def _ways(key: str, found: Found, kind: Kind) -> str:
    word = "overwrite=true" if key.startswith("hydra.") else "overwrite=True"
    ways = [
        *([f"go on with it: {found.on}"] if found.on else []),
        "name another folder",
        *([f"add {word} to replace it"] if found.kind == kind else []),
    ]
    return ", or ".join(ways)


def _refuse_led(key: str, folder: Path) -> None:
    """Refuse a folder inside that of a sweep that runs."""
    led = leader_of(folder)
    if led is not None:
        sweep, holder = led
        raise SettingError(
            f"{key}={folder}: is part of {sweep}, where {holder} is at work; wait until it has ended"
        )
