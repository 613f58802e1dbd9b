"""A folder is one process's own as long as that process writes in it, and no longer than it lives."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import NamedTuple

from vanishgrad.errors import SettingError, WriteError
from vanishgrad.files import write_whole

LOCK_FILE = ".vanishgrad.lock"  # in a folder that is being written; a process that was killed leaves it
HOLDER = 512  # bytes of the file that say who holds it
RESERVE = 32 * 1024  # bytes behind them: a record or two, and what else is to be said of a full disk
FLAGS = os.O_RDWR | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
PATIENCE = 0.25  # seconds in which somebody who only looks lets go
PAUSES = (0.0, 0.05, 0.0)  # seconds after the first, second and last time that something could not be said
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    @contextmanager
    def one_at_a_time(descriptor: int) -> Iterator[None]:
        yield

else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @contextmanager
    def one_at_a_time(descriptor: int) -> Iterator[None]:
        """Inside, no other process is inside with the same file, where there are locks."""
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_UN)


class Holder(NamedTuple):
    """Who holds a folder.

    Arguments:
        pid: of the process; None where it has not said.
        host: its machine.
        whole: whether all that is inside is its own too, as that of a sweep is.
    """

    pid: int | None = None
    host: str = ""
    whole: bool = False

    def __str__(self) -> str:
        return "another process" if self.pid is None else f"process {self.pid} on {self.host}"


class _Lock:
    """The lock of a folder, held: its file, which keeps some space on the disk in reserve."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self._descriptor = path, descriptor

    def fill(self, whole: bool) -> None:
        """Say who holds it, and take the space."""
        told = json.dumps([os.getpid(), socket.gethostname(), whole]).encode()
        missing = HOLDER + RESERVE - os.fstat(self._descriptor).st_size
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        write_whole(self._descriptor, b" " + told[: HOLDER - 2].ljust(HOLDER - 2) + b"\n")
        if missing > 0:
            os.lseek(self._descriptor, 0, os.SEEK_END)
            write_whole(self._descriptor, _filling()[:missing])

    def give_up_reserve(self) -> None:
        """Leave the space to whoever needs it."""
        with suppress(OSError):
            os.ftruncate(self._descriptor, HOLDER)

    def release(self) -> None:
        """The file goes while it is locked, so that nobody else's can be taken away."""
        with suppress(OSError):
            self.path.unlink()
        os.close(self._descriptor)
        with suppress(OSError):  # where a file that is open stays
            if sys.platform == "win32":
                self.path.unlink()


_held: dict[Path, _Lock] = {}  # by this process
_granted: ContextVar[frozenset[Path]] = ContextVar("granted", default=frozenset())


@cache
def _filling() -> bytes:
    """What no file system makes smaller."""
    return os.urandom(HOLDER + RESERVE)


def granted() -> frozenset[Path]:
    """The folders that may be written in here: this process holds them, or works for the one that does."""
    return _granted.get()


@contextmanager
def acting_for(folders: Iterable[Path]) -> Iterator[None]:
    """Inside, `folders` may be written in, which the process holds that this one works for.

    Arguments:
        folders: what `granted` gave there.
    """
    new = frozenset(folders) - granted()
    _granted.set(granted() | new)
    try:
        yield
    finally:
        _granted.set(granted() - new)  # not as before: others may have come and gone meanwhile


@contextmanager
def locked(key: str, folder: Path, *, whole: bool = False, patience: float = PATIENCE) -> Iterator[None]:
    """Inside, `folder` is this context's own. Where it is already, nothing is done.

    Arguments:
        key: what the folder was given as, for messages.
        folder: that is there.
        whole: whether all that is inside is, too.
        patience: seconds in which another process may leave it.

    Raises:
        SettingError: when another process holds it, or there is no writing in it.
    """
    place = Path(os.path.realpath(folder))
    if place in granted():
        yield
        return
    lock = _taken(key, folder, whole, patience)
    if lock is not None:
        _held[place] = lock
    try:
        with acting_for([place]):
            yield
    finally:
        if lock is not None:
            del _held[place]
            lock.release()


def _taken(key: str, folder: Path, whole: bool, patience: float) -> _Lock:
    """The lock of a folder, told and filled."""
    try:
        lock = _waited_for(key, folder, patience)
        try:
            lock.fill(whole)
        except BaseException:
            lock.release()
            raise
    except OSError as error:
        raise unwritable(key, folder, error) from None
    return lock


def _waited_for(key: str, folder: Path, patience: float) -> _Lock:
    path, until = folder / LOCK_FILE, time.monotonic() + patience
    while (descriptor := _opened(path, os.O_CREAT)) is None:
        if time.monotonic() >= until:
            raise in_use(key, folder, _holder(path))
        time.sleep(0.02)
    return _Lock(path, descriptor)


def _opened(path: Path, flags: int = 0) -> int | None:
    """The file of a lock that is now this process's; None where somebody has it.

    Without locks, anybody's that opens it.
    """
    descriptor = os.open(path, FLAGS | flags, 0o666)
    try:
        if _is_mine(path, descriptor):
            return descriptor
    except OSError as error:
        if error.errno in WITHOUT_LOCKS:
            _say_unlocked(path.parent)
            return descriptor
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _is_mine(path: Path, descriptor: int) -> bool:
    """Lock a file, unless somebody has it, or had it and took it away since it was opened."""
    try:
        _try_lock(descriptor)
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except (BlockingIOError, PermissionError, FileNotFoundError):
        return False


def _holder(path: Path) -> Holder:
    """Who says that they hold a lock; not so on Windows of its first byte."""
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(1)
            pid, host, whole = json.loads(file.read(HOLDER - 1).split(b"\n")[0])
        return Holder(int(pid), str(host), bool(whole))
    except (OSError, ValueError, TypeError):
        return Holder()


def holder_of(folder: Path) -> Holder | None:
    """Who is at work in `folder`; None where nobody is, as far as can be seen."""
    path = folder / LOCK_FILE
    try:
        descriptor = _opened(path)
    except OSError:  # there is none, or there is no looking at it
        return None
    if descriptor is None:
        return _holder(path) if path.exists() else None
    os.close(descriptor)
    return None


def leader_of(folder: Path) -> tuple[Path, Holder] | None:
    """The folder of a sweep that runs and holds all that is in `folder`, unless this context works for it."""
    own = granted()
    for parent in Path(os.path.realpath(folder)).parents:
        holder = None if parent in own else holder_of(parent)
        if holder is not None and holder.whole:
            return parent, holder
    return None


def give_up_reserve(folder: Path) -> None:
    """Let go the space that is kept for what must be said of `folder` when the disk is full."""
    lock = _held.get(Path(os.path.realpath(folder)))
    if lock is not None:
        lock.give_up_reserve()


def last_words(folder: Path, write: Callable[[], None]) -> bool:
    """Write what must be said of `folder`, on a full disk in the space kept for this; whether it was."""
    for pause in PAUSES:
        try:
            write()
            return True
        except WriteError:
            give_up_reserve(folder)
            time.sleep(pause)
    return False


def tidy_lock(folder: Path) -> Holder | None:
    """Take away the lock file that a process which was killed has left; who holds it, where somebody does."""
    path = folder / LOCK_FILE
    try:
        descriptor = _opened(path)
    except OSError:
        return None
    if descriptor is None:
        return _holder(path) if path.exists() else None
    _Lock(path, descriptor).release()
    return None


def in_use(key: str, folder: Path, holder: Holder) -> SettingError:
    """The refusal of a folder that somebody else writes in."""
    return SettingError(
        f"{key}={folder}: {holder} is at work there; wait until it has ended, or name another"
    )


def unwritable(key: str, folder: Path, error: OSError) -> SettingError:
    """The refusal of a folder that there is no writing in."""
    where = "" if error.filename in (None, str(folder), str(folder / LOCK_FILE)) else f"{error.filename}: "
    return SettingError(f"{key}={folder}: cannot be written: {where}{error.strerror or error}")


@cache
def _say_unlocked(folder: Path) -> None:
    warnings.warn(
        f"{folder}: its file system has no locks; see to it that no other process writes there", stacklevel=2
    )
