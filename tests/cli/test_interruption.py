"""Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Vanishgrad = Callable[..., Any]

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """`vanishgrad train` in a process group of its own, as a terminal starts it."""
    return subprocess.Popen(
        [sys.executable, "-m", "vanishgrad", "train", "depth=2", "width=8", "epochs=100000", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_rows(folder: Path, pattern: str) -> Path:
    """The run folder, once a few steps are recorded."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        for table in folder.glob(f"{pattern}/metrics.csv"):
            if table.read_text().count("\n") > 3:
                return table.parent
        time.sleep(0.05)
    raise AssertionError("the run does not start")


@pytest.mark.parametrize("arguments, pattern", [((), "outputs/*"), (("-m", "seed=0,1"), "outputs/*/0")])
def test_an_interrupted_run_is_recorded_and_ends_with_130(
    tmp_path: Path, arguments: tuple[str, ...], pattern: str
) -> None:
    process = started(tmp_path, *arguments)
    run = wait_for_rows(tmp_path, pattern)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    record: dict[str, Any] = json.loads((run / "run.json").read_text())
    assert record["status"] == "interrupted"
    top = run if not arguments else run.parent
    where = top.relative_to(tmp_path)
    assert err.startswith(
        f"interrupted; what was measured so far is in {where}; go on with: vanishgrad train "
    )
    assert err.endswith(f" sweep.resume={where}\n" if arguments else f" resume={where}\n")
    assert (run / "metrics.csv").read_text().endswith("\n")


def test_a_run_that_was_killed_goes_on_from_its_checkpoint(tmp_path: Path, vanishgrad: Vanishgrad) -> None:
    setting = ["max_steps=2000", "save_every=20", "log_every=5", "optim=adam"]
    process = started(tmp_path, *setting, "hydra.run.dir=parts")
    until = time.monotonic() + PATIENCE
    while not (tmp_path / "parts/checkpoint.pt").exists() and time.monotonic() < until:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert json.loads((tmp_path / "parts/run.json").read_text())["status"] == "running"
    assert (
        vanishgrad("train", "depth=2", "width=8", "epochs=100000", *setting, "hydra.run.dir=whole").status
        == 0
    )
    done = vanishgrad("train", "resume=parts")
    assert (done.status, done.err) == (0, "")
    assert "completed after 2000 steps" in " ".join(done.out.split())
    tables = [tmp_path / folder / "gradients.csv" for folder in ("parts", "whole")]
    assert tables[0].read_bytes() == tables[1].read_bytes()
    again = vanishgrad("train", "resume=parts")
    assert (again.status, again.out) == (2, "")
    assert again.error == "resume=parts: the run is completed; there is nothing to go on with"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resume=nowhere"], "resume=nowhere: no run.json"),
        (["resume="], "resume=: must be the folder of a run"),
        (["resume=a", "depth=3"], "resume=a: goes on with the setting that the run has; leave out depth=3"),
        (["-m", "resume=a"], "resume=a: goes on with the setting that the run has; leave out -m"),
    ],
)
def test_what_cannot_be_resumed_gets_one_message(
    vanishgrad: Vanishgrad, arguments: list[str], message: str
) -> None:
    done = vanishgrad("train", *arguments)
    assert (done.status, done.out, done.error) == (2, "", message)
