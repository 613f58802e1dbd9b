"""A full disk: one line for each run that it fails, exit status 1, and the way on."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Vanishgrad = Callable[..., Any]

TINY = ("max_steps=6", "save_every=2", "width=2", "depth=1", "log_every=1", "device=cpu")
FULL = "cannot be written: No space left on device"


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


def test_a_run_ends_with_one_line_and_goes_on(vanishgrad: Vanishgrad, disk: Any) -> None:
    disk.fill(60_000)  # enough for its first checkpoints
    done = vanishgrad("train", *TINY, "hydra.run.dir=disk/run")
    assert done.status == 1
    assert len(lines(done.err)) == 1
    assert done.err.startswith("failed: disk/run: ")
    assert done.err.endswith(f"{FULL}\n")
    assert record(disk.folder / "run")["status"] == "failed"
    disk.empty()
    assert vanishgrad("train", "resume=disk/run").status == 0
    assert record(disk.folder / "run")["status"] == "completed"


def test_a_full_disk_is_refused_before_any_work(vanishgrad: Vanishgrad, disk: Any) -> None:
    disk.fill()
    for arguments in (("hydra.run.dir=disk/run",), ("-m", "seed=0,1", "hydra.sweep.dir=disk/run")):
        refused = vanishgrad("train", *TINY, *arguments)
        assert refused.status == 2
        assert refused.error.endswith(f"dir=disk/run: {FULL}")
        assert list(disk.folder.iterdir()) == []


@pytest.mark.parametrize("launcher", ["hydra.launcher.n_jobs=1", "hydra/launcher=basic"])
def test_a_sweep_goes_on_with_the_runs_that_have_room(
    vanishgrad: Vanishgrad, disk: Any, launcher: str
) -> None:
    disk.fill(0, "/1/")
    sweep = ("train", "-m", *TINY, "seed=0,1,2", launcher)
    done = vanishgrad(*sweep, "hydra.sweep.dir=disk/sweep")
    assert done.status == 1
    assert [record(disk.folder / "sweep" / name)["status"] for name in "02"] == ["completed"] * 2
    assert len(lines(done.err)) == 1
    assert done.err.startswith("failed: disk/sweep/1")
    disk.empty()
    if launcher != "hydra/launcher=basic":
        assert vanishgrad(*sweep, "sweep.resume=disk/sweep", "sweep.retry=failed").status == 0
        assert record(disk.folder / "sweep/1")["status"] == "completed"


def test_the_table_of_a_sweep_that_cannot_be_written_is_a_line_too(vanishgrad: Vanishgrad, disk: Any) -> None:
    disk.fill(0, "sweep_summary")
    done = vanishgrad("train", "-m", *TINY, "seed=0,1", "hydra.sweep.dir=disk/s", "hydra.launcher.n_jobs=1")
    assert (done.status, done.err) == (1, f"failed: disk/s/sweep_summary.csv: {FULL}\n")
    assert "disk/s\n" in done.out


def test_files_of_hydras_are_files_too(
    vanishgrad: Vanishgrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "a/.hydra/config.yaml")

    monkeypatch.setattr("hydra.core.utils._save_config", refuse)
    done = vanishgrad("train", *TINY, "hydra.run.dir=a")
    assert (done.status, done.err) == (1, f"error: a/.hydra/config.yaml: {FULL}\n")


@pytest.mark.parametrize("command", [("theory",), ("report", "runs=run")], ids=" ".join)
def test_figures_that_cannot_be_written_are_one_error(
    vanishgrad: Vanishgrad, tmp_path: Path, disk: Any, command: tuple[str, ...]
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/run.json").write_text('{"status": "completed", "choices": {"depth": 1}}')
    (tmp_path / "run/gradients.csv").write_text("step,layer,grad_norm\n0,1,0.1\n")
    disk.fill(0, ".png")
    refused = vanishgrad(*command, "out=disk/out")
    assert refused.status == 2
    assert refused.error.startswith("out=disk/out: disk/out/")
    assert refused.error.endswith(FULL)
    assert not [path for path in disk.folder.rglob(".*") if path.is_file()]
