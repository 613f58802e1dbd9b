"""What becomes of a command whose output goes nowhere."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from vanishgrad.cli import main

Vanishgrad = Callable[..., Any]
REPOSITORY = Path(__file__).parents[2]
TINY = ("depth=1", "width=2", "max_steps=1", "data.train_size=64")
NOTE = "note: standard output: No space left on device; what comes after is not shown\n"
ERROR = "error: standard output: No space left on device\n"
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")


@pytest.fixture
def into(monkeypatch: pytest.MonkeyPatch, vanishgrad: Vanishgrad) -> Callable[..., tuple[int, str]]:
    """Run a command with its output into `where`: "nobody" or "full"; its status, and what it says of it."""

    def run(where: str, *arguments: str) -> tuple[int, str]:
        said = io.StringIO()
        if where == "full":
            number = os.open("/dev/full", os.O_WRONLY)
        else:
            reading, number = os.pipe()
            os.close(reading)
        with os.fdopen(number, "w") as output, monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", output)
            patched.setattr(sys, "stderr", said)
            status = main(list(arguments))
        return status, said.getvalue()

    return run


WHERE = [("nobody", ""), pytest.param("full", NOTE, marks=FULL)]


@pytest.mark.parametrize(("where", "note"), WHERE)
def test_a_run_is_trained_whatever_becomes_of_what_it_prints(
    into: Callable[..., tuple[int, str]], tmp_path: Path, where: str, note: str
) -> None:
    assert into(where, "train", *TINY, "hydra.run.dir=run") == (0, note)
    for file in ("run.json", "metrics.csv", "checkpoint.pt"):
        assert (tmp_path / "run" / file).exists()


@pytest.mark.parametrize(("where", "note"), WHERE)
def test_so_is_a_sweep_to_its_summary_and_its_report(
    into: Callable[..., tuple[int, str]], tmp_path: Path, where: str, note: str
) -> None:
    sweep = ("train", "-m", *TINY, "seed=0,1,2", "hydra.launcher.n_jobs=1", "hydra.sweep.dir=sweep")
    assert into(where, *sweep) == (0, note)
    assert (tmp_path / "sweep/sweep_summary.csv").read_text().count("\n") == 2
    assert len(list((tmp_path / "sweep").glob("*/run.json"))) == 3
    assert into(where, "report", "runs=sweep", "figures=[training_curves]") == (0, note)
    assert (tmp_path / "sweep/report/index.html").exists()


def test_the_exit_status_of_work_speaks_of_the_work(into: Callable[..., tuple[int, str]]) -> None:
    assert into("nobody", "train", *TINY, "act=nope")[0] == 2


OUTPUTS = [
    (),
    ("--version",),
    ("train", "--help"),
    ("options",),
    ("options", "format=json"),
    ("train", "--cfg", "job"),
    ("train", "--info"),
    ("train", "--hydra-help"),
    ("theory", "format=json"),
]


@pytest.mark.parametrize("arguments", OUTPUTS)
def test_an_output_that_is_all_the_work_ends_quietly_with_its_reader(
    into: Callable[..., tuple[int, str]], arguments: tuple[str, ...]
) -> None:
    assert into("nobody", *arguments) == (0, "")


@FULL
@pytest.mark.parametrize("arguments", OUTPUTS)
def test_and_where_it_cannot_be_written_that_is_an_error(
    into: Callable[..., tuple[int, str]], arguments: tuple[str, ...]
) -> None:
    assert into("full", *arguments) == (2, ERROR)


@pytest.mark.parametrize(
    ("redirection", "status", "said"),
    [
        ("| true", 0, ""),
        (">&-", 0, ""),
        pytest.param("> /dev/full", 2, ERROR, marks=FULL),
        pytest.param("2> /dev/full", 0, "", marks=FULL),
        ("2>&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
    ],
)
def test_python_has_nothing_to_add_when_it_ends(redirection: str, status: int, said: str) -> None:
    """As with `Exception ignored in: <_io.TextIOWrapper name='<stdout>'> BrokenPipeError`."""
    command = f"set -o pipefail; {sys.executable} -m vanishgrad --help {redirection}"
    done = subprocess.run(
        ["bash", "-c", command], env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, capture_output=True,
        text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (status, said)


@pytest.fixture
def character_model(vanishgrad: Vanishgrad, tmp_path: Path) -> str:
    (tmp_path / "tale.txt").write_text("the cat sat on the mat\x1b[31m.\n" * 40)
    setting = ("model=lstm", "data=text", "data.path=tale.txt", "data.length=8", "width=4", "max_steps=1")
    assert vanishgrad("train", *setting, "hydra.run.dir=run").status == 0
    return "run=run"


def test_text_without_an_end_is_printed_as_it_comes_and_ends_with_its_reader(
    monkeypatch: pytest.MonkeyPatch, character_model: str
) -> None:
    reading, writing = os.pipe()
    read: list[bytes] = []

    def take() -> None:
        read.append(os.read(reading, 100))
        os.close(reading)

    taker = Thread(target=take, daemon=True)
    taker.start()
    with os.fdopen(writing, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        assert main(["sample", character_model, "length=1000000000000"]) == 0
    taker.join(60)
    assert len(read[0]) > 10


def test_a_terminal_is_not_given_the_escape_codes_that_a_model_has_learned(
    vanishgrad: Vanishgrad, monkeypatch: pytest.MonkeyPatch, character_model: str
) -> None:
    sampled = ("sample", character_model, "length=200", "temperature=1000")
    raw = vanishgrad(*sampled).out
    assert "\x1b" in raw
    assert "\n" in raw[:-1]
    watched = io.StringIO()
    monkeypatch.setattr(watched, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", watched)
    assert main(list(sampled)) == 0
    assert watched.getvalue() == raw.replace("\x1b", r"\x1b")
