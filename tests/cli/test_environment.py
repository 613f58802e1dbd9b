"""Surroundings that are not as they should be."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vanishgrad.cli import main

Vanishgrad = Callable[..., Any]
REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8"])
def test_a_sweep_is_printed_in_every_encoding(
    vanishgrad: Vanishgrad, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding=encoding))
    tiny = ("depth=1", "width=2", "max_steps=1", "data.train_size=64", "hydra.launcher.n_jobs=1")
    assert main(["train", "-m", *tiny, "seed=0,1"]) == 0
    sys.stdout.flush()
    assert (" +- " if encoding == "ascii" else " ± ") in kept.getvalue().decode(encoding)


def test_a_working_directory_that_is_gone(
    vanishgrad: Vanishgrad, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for command in ("train", "report", "theory", "options", "lab", "cure", "diagnose", "sample"):
        done = vanishgrad(command)
        assert (done.status, done.out) == (2, "")
        assert done.error == "the working directory: No such file or directory; go to another one"
    for words in (("--help",), ("--version",), ("train", "--help")):
        assert vanishgrad(*words).status == 0
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("backend", ["nope", "module://nope", "svg", ""])
def test_figures_are_drawn_whatever_backend_is_wished_for(backend: str) -> None:
    code = (
        "import matplotlib.figure\nfrom vanishgrad.report.figures import gradient_profile\n"
        "import matplotlib, os; print(matplotlib.rcParams['backend'], os.environ['MPLBACKEND'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code.partition("\n")[2]],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "MPLBACKEND": backend},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stderr == ""
    used = {"nope": "agg"}.get(backend, backend)
    assert done.stdout.rpartition(" ")[2] == f"{backend}\n"
    assert used in done.stdout


@pytest.mark.parametrize("typed", ["--shell-completion", "-sc install=bash", "-m -sc query=nope", "-sc foo"])
def test_the_shell_completion_that_hydra_has_is_refused(vanishgrad: Vanishgrad, typed: str) -> None:
    done = vanishgrad("train", *typed.split())
    assert (done.status, done.out) == (2, "")
    assert done.error.startswith("--shell-completion: completes")
