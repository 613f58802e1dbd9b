"""Consoles: what they show of text that somebody else wrote, how wide they are, and signs of life."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest
from rich.table import Table
from rich.text import Text

from vanishgrad.cli import terminal
from vanishgrad.cli.terminal import PrintableConsole, line, print_json, show, working

Vanishgrad = Callable[..., Any]
HOSTILE = "a\x1b[31mb\x1b]0;title\x1b\\[red]c[/red] :smile: \u202ed\nnote: e"
WRITTEN_OUT = r"a\x1b[31mb\x1b]0;title\x1b\[red]c[/red] :smile: \u202ed\nnote: e"


@pytest.fixture
def screen() -> Iterator[tuple[TextIO, Callable[[], str]]]:
    """A terminal: its file, and what has been written to it so far."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    seen = b""

    def read() -> str:
        nonlocal seen
        try:
            while more := os.read(ours, 4096):
                seen += more
        except BlockingIOError:
            pass
        return seen.decode()

    with os.fdopen(theirs, "w") as file:
        yield file, read
    os.close(ours)


def plain(text: str) -> str:
    """Without the codes that colour text and move the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r\n", "\n")


def test_a_line_is_one_line_whatever_is_in_it(
    screen: tuple[TextIO, Callable[[], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    file, read = screen
    console = PrintableConsole(file=file)
    assert console.is_terminal
    line(console, HOSTILE, (HOSTILE, "bold"))
    shown = read()
    assert plain(shown) == f"{WRITTEN_OUT}{WRITTEN_OUT}\n"
    assert "\x1b[31m" not in shown
    assert "\x1b]" not in shown
    assert "\x1b[1m" in shown  # which is our own


def test_no_renderable_takes_text_for_more_than_text(screen: tuple[TextIO, Callable[[], str]]) -> None:
    file, read = screen
    console = PrintableConsole(file=file, width=200)
    table = Table(title=HOSTILE, box=None)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    table.add_row(Text(HOSTILE))
    console.print(HOSTILE)
    show(console, table, HOSTILE)
    shown = read()
    assert plain(shown).count(r"a\x1b[31mb\x1b]0;title\x1b\[red]c[/") == 6
    assert not any(code in shown for code in ("\x1b]", "\x1b[31m", "\u202e"))


@pytest.mark.parametrize("name", ["COLUMNS", "LINES"])
@pytest.mark.parametrize("text", ["0", "000", "1", "-5", "abc", "", " 80", "²", "٣", "9" * 5000, "1e3"])
def test_the_environment_is_believed_within_reason(
    vanishgrad: Vanishgrad, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    console = PrintableConsole(file=io.StringIO())
    assert 20 <= console.width <= 1000
    assert 1 <= console.height <= 1000
    done = vanishgrad("options", "act")
    assert (done.status, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= 1000
    assert "sigmoid" in done.out


def test_the_environment_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "57")
    monkeypatch.setenv("LINES", "11")
    assert PrintableConsole(file=io.StringIO()).size == (57, 11)


def test_a_document_is_json_in_every_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding, written in (("ascii", '"\\u00b1"'), ("utf-8", '"±"')):
        kept = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding=encoding))
        print_json({"a": "±"})
        sys.stdout.flush()
        assert written in kept.getvalue().decode(encoding)
        assert json.loads(kept.getvalue()) == {"a": "±"}


def eventually(found: Callable[[], bool]) -> bool:
    until = time.monotonic() + 30
    while not found() and time.monotonic() < until:
        time.sleep(0.01)
    return found()


def test_a_terminal_sees_that_something_goes_on_for_as_long_as_it_does(
    screen: tuple[TextIO, Callable[[], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, read = screen
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", file)
    monkeypatch.setattr(terminal, "AT_ONCE", 0.0)
    output = sys.stdout
    with working("reading [red] the runs"):
        assert eventually(lambda: "reading [red] the runs ..." in plain(read()))
        assert sys.stdout is output  # which is for the results
    assert sys.stderr is file
    assert read().count("\x1b[?25l") == read().count("\x1b[?25h") == 1
    assert read().endswith("\x1b[2K")  # and then it is gone


def test_a_file_is_told_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(terminal, "PATIENCE", 0.0)
    said = ""

    def is_said() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return bool(said)

    with working("reading the runs"):
        assert eventually(is_said)
    assert said == "reading the runs ...\n"
    assert capsys.readouterr() == ("", "")


def test_what_does_not_take_long_is_not_worth_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    with working("reading the runs"):
        pass
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def foreign(vanishgrad: Vanishgrad, tmp_path: Path) -> Path:
    """A run whose record somebody else has written."""
    tiny = ("depth=2", "width=2", "max_steps=1", "data.train_size=64")
    assert vanishgrad("train", *tiny, "hydra.run.dir=theirs").status == 0
    path = tmp_path / "theirs/run.json"
    record = json.loads(path.read_text())
    record["choices"]["act"]["name"] = record["effective"]["act"]["name"] = HOSTILE
    path.write_text(json.dumps(record | {"overrides": [f"act={HOSTILE}"]}))
    return path.parent


def test_a_foreign_record_is_text_for_the_terminal(vanishgrad: Vanishgrad, foreign: Path) -> None:
    foreign.rename(foreign.with_name("x\x1b[31m\ny"))
    for command in (("diagnose",), ("report", "figures=[training_curves]", "out=out")):
        done = vanishgrad(*command, "runs=[.]")
        assert done.status == 0
        assert not {"\x1b", "\u202e"} & set(done.out + done.err)
    refused = vanishgrad("diagnose", f"runs={HOSTILE}")
    assert refused.error.startswith(f"runs={WRITTEN_OUT}: ")
