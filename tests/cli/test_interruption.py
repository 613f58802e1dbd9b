"""Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

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
    assert err == f"interrupted; what was measured so far is in {top.relative_to(tmp_path)}\n"
    assert (run / "metrics.csv").read_text().endswith("\n")
    assert not (top / "1").exists()
