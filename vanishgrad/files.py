"""Writing files so that what is on the disk is whole, even when the disk becomes full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vanishgrad.errors import WriteError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Inside, what the system refuses is a `WriteError` that names `path`."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(error.errno, error.strerror or str(error), str(path)) from error


def write_whole(descriptor: int, content: bytes) -> None:
    """Write all of `content`: a disk that becomes full takes a part of it first, and then says so."""
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def append_whole(descriptor: int, content: bytes, size: int) -> int:
    """Add `content` to a file of `size` bytes, whole or not at all; its new size."""
    try:
        write_whole(descriptor, content)
    except OSError:
        os.ftruncate(descriptor, size)
        raise
    return size + len(content)


def replace_file(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Put `content` in place of `path` in one step, so that a reader sees the old file or the new one.

    That holds whatever ends this process. A power cut may leave an empty file where the new one was, unless
    it is durable, which takes the time of a disk instead of that of memory: some milliseconds.

    Arguments:
        path: of the file.
        content: all of it.
        durable: whether it reaches the disk before it takes the name, which leaves the one or the other.

    Raises:
        WriteError: when the new one cannot be written; then nothing has changed.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with writing(path):
        try:
            _write(partial, content, durable)
            os.replace(partial, path)
        except BaseException:
            with suppress(OSError):
                partial.unlink()
            raise


def _write(path: Path, content: bytes, durable: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o666)
    try:
        write_whole(descriptor, content)
        if durable:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
