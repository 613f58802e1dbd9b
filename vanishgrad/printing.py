"""Standard output and standard error that outlive their readers, and text that a terminal only shows."""

from __future__ import annotations

import codecs
import errno
import io
import os
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

JOINERS = "\u200c\u200d"  # that words of several scripts are spelled with


def printable(text: str, keep: str = "") -> str:
    r"""`text` with what is not to be seen written out: control characters, line ends, changes of direction.

    A terminal obeys some of them, and text that somebody else wrote is there to be read.

    Arguments:
        text: from anywhere.
        keep: such characters that are meant.

    Example:
        >>> printable("a\x1b[31mb\nc")
        'a\\x1b[31mb\\nc'
    """
    if text.isprintable():
        return text
    return "".join(one if _is_shown(one) or one in keep else _escaped(one) for one in text)


def _is_shown(character: str) -> bool:
    return (
        character.isprintable() or character in JOINERS or unicodedata.category(character) == "Zs"  # blanks
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


# What this package prints beyond ASCII, for streams that have no room for it.
IN_ASCII = {
    "±": "+-", "–": "-", "—": "-", "−": "-", "×": "x", "·": "|", "…": "...", "✗": "x", "²": "^2", "≈": "~",
    "→": "->", "“": '"', "”": '"', "’": "'", "█": "#", "∞": "inf",
}  # fmt: skip
DEGRADED = "vanishgrad.printing"


def _degraded(error: UnicodeError) -> tuple[str, int]:
    """What stands for characters that a stream cannot encode."""
    assert isinstance(error, UnicodeEncodeError)
    lost = error.object[error.start : error.end]
    return "".join(IN_ASCII.get(character) or _escaped(character) for character in lost), error.end


codecs.register_error(DEGRADED, _degraded)


def has_room_for(text: str, stream: TextIO) -> bool:
    """Whether the encoding of a stream has all the characters of `text`."""
    try:
        text.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:
        return False
    return True


class NoReader(BaseException):
    """What a command was run for has no reader any more: it had enough, which is no error."""


class LostOutput(BaseException):
    """What a command was run for cannot be written, and why."""


GONE = (errno.EPIPE, errno.ECONNRESET)


class GuardedStream:
    """A stream that goes on as if it were written when it cannot be any more.

    What the encoding has no room for is written in ASCII.

    Arguments:
        stream: what is written to.
        name: for the one message about it.
        complaints: where that goes; None for nowhere.
    """

    def __init__(self, stream: TextIO, name: str, complaints: TextIO | None = None) -> None:
        self._stream, self._name, self._complaints = stream, name, complaints
        self.is_lost = False  # whether nothing can be written any more
        self.is_essential = False  # whether that ends the command

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write as much as can be."""
        if not self.is_lost:
            encoding = self._stream.encoding
            shown = text.encode(encoding, DEGRADED).decode(encoding) if encoding else text
            with self._enduring():
                self._stream.write(shown)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if not self.is_lost:
            with self._enduring():
                self._stream.flush()

    def isatty(self) -> bool:
        try:
            return self._stream.isatty()
        except ValueError:  # closed
            return False

    @contextmanager
    def _enduring(self) -> Iterator[None]:
        try:
            yield
        except BlockingIOError:  # others have set it so, and the reader is slow
            os.set_blocking(self._stream.fileno(), True)
        except OSError as error:
            self._lose(None if error.errno in GONE else error.strerror)
        except ValueError:
            if not self._stream.closed:
                raise
            self._lose(None)

    def _lose(self, reason: str | None) -> None:
        """Write nothing from now on, and end the command where that makes it pointless."""
        self.is_lost = True
        with suppress(OSError, ValueError):  # not a file of the system
            self._to_nowhere(self._stream.fileno())
        if self.is_essential:
            raise NoReader if reason is None else LostOutput(f"{self._name}: {reason}")
        if reason is not None and self._complaints is not None:
            self._complaints.write(f"note: {self._name}: {reason}; what comes after is not shown\n")

    def _to_nowhere(self, number: int) -> None:
        """Let what is waiting in buffers, and what other code writes, come to nothing."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)


@contextmanager
def essential() -> Iterator[None]:
    """Inside, standard output is what the command is for: a reader that goes away ends it.

    Raises:
        NoReader: when nobody reads it any more.
        LostOutput: when it cannot be written for another reason.
    """
    stream: Any = sys.stdout
    if not isinstance(stream, GuardedStream):
        yield
        return
    if stream.is_lost:
        raise NoReader
    before, stream.is_essential = stream.is_essential, True
    try:
        yield
        stream.flush()
    finally:
        stream.is_essential = before


def guard() -> tuple[TextIO, TextIO]:
    """Guard standard output and standard error of this process for good; the streams that they were."""
    before = sys.stdout, sys.stderr
    _open_standard_files()
    errors = GuardedStream(_open(sys.stderr), "standard error")
    output = GuardedStream(_open(sys.stdout), "standard output", cast(TextIO, errors))
    sys.stdout, sys.stderr = cast(TextIO, output), cast(TextIO, errors)
    return before


@contextmanager
def guarded() -> Iterator[None]:
    """Inside, they are guarded."""
    before = guard()
    output, errors = sys.stdout, sys.stderr
    try:
        yield
    finally:
        output.flush()
        errors.flush()
        sys.stdout, sys.stderr = before


def _open(stream: TextIO | None) -> TextIO:
    """The stream; where it was closed before Python began, one without a reader."""
    return cast(TextIO, _Closed()) if stream is None else stream


class _Closed(io.TextIOBase):
    def write(self, text: str) -> int:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def _open_standard_files() -> None:
    """Where one of the first three files is closed, the next one that is opened would take its place.

    What is then written to the standard streams, by libraries or other processes, would end up in there.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            file = os.open(os.devnull, os.O_RDWR)
            os.dup2(file, number)
            if file != number:
                os.close(file)
