"""Streams that lose their readers, and text that a terminal would obey."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import TextIO

import pytest

from vanishgrad.printing import LostOutput, NoReader, essential, guard, guarded, has_room_for, printable


@pytest.fixture
def to_nobody() -> Iterator[TextIO]:
    """A pipe that nobody reads from any more."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as stream:
        yield stream


def to_full_disk(buffering: int = 1) -> TextIO:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    return open("/dev/full", "w", buffering=buffering)


@pytest.fixture
def full_disk() -> Iterator[TextIO]:
    with to_full_disk() as stream:
        yield stream


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> Callable[..., io.StringIO]:
    """Put a stream in place of standard output; give standard error, as a text that is kept."""

    def put(output: TextIO | None, errors: TextIO | None = None) -> io.StringIO:
        said = io.StringIO()
        monkeypatch.setattr(sys, "stdout", output)
        monkeypatch.setattr(sys, "stderr", said if errors is None else errors)
        return said

    return put


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größe × ± 2 ∈ 中文 עברית\u00a0\u2009.", "größe × ± 2 ∈ 中文 עברית\u00a0\u2009."),
        ("\u0915\u094d\u200d\u0937", "\u0915\u094d\u200d\u0937"),  # spelled with a joiner
        ("a\x1b[31mb\x1b]0;t\x07", r"a\x1b[31mb\x1b]0;t\x07"),
        ("a\nb\r\tc\x00\x7f", r"a\nb\r\tc\x00\x7f"),
        ("\x9b31m\x85\u2028\u2029", r"\x9b31m\x85\u2028\u2029"),
        ("\u202egnp.exe\u2066\u200f\u061c\u200b\ufeff", r"\u202egnp.exe\u2066\u200f\u061c\u200b\ufeff"),
        ("\udcff \ue000", r"\udcff \ue000"),
        ("\U000e0041", r"\U000e0041"),
        ("", ""),
    ],
)
def test_what_is_not_to_be_seen_is_written_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_characters_that_are_meant_stay() -> None:
    assert printable("a\n\tb\x1b", keep="\n\t") == "a\n\tb\\x1b"


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("ascii", "0.1 +- 0.2, 3 x, a - b..., \\xdf \\u4e2d \\udcff x\n"),
        ("cp1252", "0.1 ± 0.2, 3 ×, a – b…, ß \\u4e2d \\udcff x\n"),
        ("utf-8", "0.1 ± 0.2, 3 ×, a – b…, ß 中 \\udcff ✗\n"),
    ],
)
def test_what_an_encoding_has_no_room_for_is_written_in_others(
    streams: Callable[..., io.StringIO], encoding: str, written: str
) -> None:
    kept = io.BytesIO()
    output = io.TextIOWrapper(kept, encoding=encoding)
    streams(output, output)
    with guarded():
        print("0.1 ± 0.2, 3 ×, a – b…, ß 中 \udcff ✗")
        print("±", file=sys.stderr)
    ends = "+-\n" if encoding == "ascii" else "±\n"
    assert kept.getvalue().decode(encoding) == written + ends


def test_whether_there_is_room() -> None:
    assert has_room_for("±", io.StringIO())
    assert not has_room_for("±", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))


def test_work_goes_on_without_a_reader(streams: Callable[..., io.StringIO], to_nobody: TextIO) -> None:
    said = streams(to_nobody)
    with guarded():
        for _ in range(3):
            print("line" * 5000)
            sys.stdout.writelines(["a", "b"])
    assert said.getvalue() == ""
    to_nobody.write("nothing fails afterwards, as when Python ends\n")
    to_nobody.flush()


def test_work_goes_on_without_room_and_says_so_once(
    streams: Callable[..., io.StringIO], full_disk: TextIO
) -> None:
    said = streams(full_disk)
    with guarded():
        print("one")
        print("two")
    assert said.getvalue() == (
        "note: standard output: No space left on device; what comes after is not shown\n"
    )


def test_work_goes_on_without_standard_error(
    streams: Callable[..., io.StringIO], full_disk: TextIO, to_nobody: TextIO
) -> None:
    for errors in (full_disk, to_nobody):
        kept = io.StringIO()
        streams(kept, errors)
        with guarded(), essential():
            print("a note", file=sys.stderr)
            print("text")
        assert kept.getvalue() == "text\n"


def test_an_output_that_is_the_work_ends_with_its_reader(
    streams: Callable[..., io.StringIO], to_nobody: TextIO
) -> None:
    streams(to_nobody)
    begun = []

    def write() -> None:
        with essential():
            for number in range(10):
                begun.append(number)
                print("line", flush=True)

    with guarded(), pytest.raises(NoReader):
        write()
    assert begun == [0]


def test_an_output_that_is_the_work_is_flushed_before_it_counts_as_written(
    streams: Callable[..., io.StringIO],
) -> None:
    with to_full_disk(buffering=-1) as stream:
        streams(stream)
        with (
            guarded(),
            pytest.raises(LostOutput, match=r"^standard output: No space left on device$"),
            essential(),
        ):
            print("fits into the buffer")


@pytest.mark.parametrize("is_essential", [False, True])
def test_streams_that_were_closed_before_python_began(
    streams: Callable[..., io.StringIO], monkeypatch: pytest.MonkeyPatch, is_essential: bool
) -> None:
    streams(None)
    monkeypatch.setattr(sys, "stderr", None)
    with guarded():
        print("note", file=sys.stderr)
        if is_essential:
            with pytest.raises(NoReader), essential():
                print("text")
        else:
            print("text")


def test_a_stream_that_somebody_closes(streams: Callable[..., io.StringIO]) -> None:
    output = io.StringIO()
    streams(output)
    with guarded():
        output.close()
        print("text")
        assert not sys.stdout.isatty()


def test_a_reader_that_is_slow_is_waited_for(streams: Callable[..., io.StringIO]) -> None:
    """Some programs hand on pipes whose writers are not to wait."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    read: list[bytes] = []
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "w") as stream:
        said = streams(stream)
        taker = Thread(target=lambda: read.append(reader.read()), daemon=True)
        with guarded():
            sys.stdout.write("x" * 2**20)  # more than fits into a pipe
            assert os.get_blocking(writing)
            taker.start()
            print("the end", flush=True)
        stream.close()
        taker.join(60)
    assert read[0].endswith(b"the end\n")
    assert said.getvalue() == ""


def test_the_streams_come_back(streams: Callable[..., io.StringIO]) -> None:
    output = io.StringIO()
    said = streams(output)
    with guarded(), guarded():
        print("text")
    assert (sys.stdout, sys.stderr) == (output, said)
    assert output.getvalue() == "text\n"


def test_a_process_may_guard_its_streams_for_good(
    streams: Callable[..., io.StringIO], to_nobody: TextIO
) -> None:
    streams(to_nobody)
    guard()
    print("text")
    sys.stdout.flush()


def test_nothing_is_essential_where_nothing_is_guarded(
    streams: Callable[..., io.StringIO], to_nobody: TextIO
) -> None:
    kept = io.StringIO()
    streams(kept)
    with essential():
        print("text")
    assert kept.getvalue() == "text\n"
