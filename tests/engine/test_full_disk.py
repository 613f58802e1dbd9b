"""A disk that becomes full: the run says so, what is there is whole, and it goes on when there is room."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from vanishgrad import Run, resume, train
from vanishgrad.engine.session import Progress
from vanishgrad.errors import SettingError, WriteError

TINY = Run(depth=1, width=4, max_steps=8, log_every=1, save_every=2, device="cpu", threads=1)


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*") if path.is_file()]


def at_step(step: int, do: Callable[[], None]) -> Callable[[Any], None]:
    def observe(state: Any) -> None:
        if isinstance(state, Progress) and state.step == step:
            do()

    return observe


def assert_whole_rows(folder: Path) -> None:
    for table in folder.glob("*.csv"):
        lines = table.read_text().splitlines(keepends=True)
        assert all(line.endswith("\n") for line in lines)
        assert len({line.count(",") for line in lines}) == 1


def contents(folder: Path) -> dict[str, Any]:
    """All files, run.json and metrics.csv without the seconds."""
    found: dict[str, Any] = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")
    }
    found["checkpoint.pt"] = repr(torch.load(folder / "checkpoint.pt", weights_only=True))
    found["run.json"] = json.dumps(record(folder) | {"seconds": 0}).encode()
    rows = found["metrics.csv"].splitlines()
    return found | {"metrics.csv": b"\n".join(row.rpartition(b",")[0] for row in rows)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("undisturbed")
    train(TINY, folder)
    return contents(folder)


@pytest.mark.parametrize("step, left", [(5, 0), (5, 1), (5, 100), (5, 1000), (5, 4000), (3, 0), (7, 0)])
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_run_on_a_full_disk_fails_with_the_reason_and_goes_on(
    disk: Any, undisturbed: dict[str, Any], step: int, left: int, error: int
) -> None:
    disk.error = error
    with pytest.raises(WriteError, match=os.strerror(error)):
        train(TINY, disk.folder, observe=at_step(step, lambda: disk.fill(left)))
    found = record(disk.folder)
    assert found["status"] == "failed"
    assert found["error"].startswith(f"{disk.folder}/")
    assert found["error"].endswith(f": cannot be written: {os.strerror(error)}")
    assert hidden(disk.folder) == []
    assert_whole_rows(disk.folder)
    disk.empty()
    resume(disk.folder)
    assert contents(disk.folder) == undisturbed


def test_a_run_that_can_say_nothing_still_ends_and_goes_on(disk: Any, undisturbed: dict[str, Any]) -> None:
    disk.dead = True
    with pytest.raises(WriteError, match="No space left"):
        train(TINY, disk.folder, observe=at_step(5, disk.fill))
    assert record(disk.folder)["status"] == "running"
    assert hidden(disk.folder) == []
    assert_whole_rows(disk.folder)
    disk.empty()
    resume(disk.folder)
    assert contents(disk.folder) == undisturbed


def test_a_disk_that_is_full_beforehand_is_refused(disk: Any) -> None:
    disk.fill()
    with pytest.raises(SettingError, match=rf"^out={disk.folder}/run: cannot be written: No space left"):
        train(TINY, disk.folder / "run")
    assert list(disk.folder.iterdir()) == []
