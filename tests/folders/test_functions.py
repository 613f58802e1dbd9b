"""`train`, `resume`, `sweep`, `cure` and the monitor keep each other's folders."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextvars import Context
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from vanishgrad import GradientMonitor, Run, cure, resume, sweep, train
from vanishgrad.errors import SettingError
from vanishgrad.records import read_run

TINY = Run(depth=1, width=2, max_steps=2, log_every=1, save_every=1, device="cpu", threads=1)


def model_monitored(steps: int) -> GradientMonitor:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with GradientMonitor(model, every=1) as monitor:
        for _ in range(steps):
            model(torch.ones(1, 2)).sum().backward()
            optimizer.step()
    return monitor


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_run_is_replaced_only_where_that_is_meant(tmp_path: Path) -> None:
    train(replace(TINY, snapshots=1), tmp_path)
    with pytest.raises(SettingError, match=rf"^out={tmp_path}: holds a completed run; .*overwrite=True"):
        train(TINY, tmp_path)
    assert "snapshots" in names(tmp_path)
    train(replace(TINY, seed=3), tmp_path, overwrite=True)
    assert read_run(tmp_path)["seed"] == 3
    assert "snapshots" not in names(tmp_path)


def test_a_sweep_begins_anew_where_that_is_meant(tmp_path: Path) -> None:
    runs = [replace(TINY, seed=seed) for seed in range(3)]
    sweep(runs, tmp_path, workers=1)
    with pytest.raises(SettingError, match="begun with other settings"):
        sweep([replace(TINY, seed=seed) for seed in (5, 6, 7)], tmp_path, workers=1)
    sweep([replace(TINY, seed=5)], tmp_path, workers=1, overwrite=True)
    assert {name for name in names(tmp_path) if name.isdecimal()} == {"0"}
    assert read_run(tmp_path / "0")["seed"] == 5
    with pytest.raises(SettingError, match=rf"^out={tmp_path}: holds a sweep; "):
        train(TINY, tmp_path)


def test_a_run_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    again = replace(TINY, lr=TINY.rate)
    with pytest.raises(SettingError, match=r"^runs 0 and 2 of the sweep have the same setting"):
        sweep([TINY, replace(TINY, seed=1), again], tmp_path / "sweep", workers=1)
    assert not (tmp_path / "sweep").exists()


def test_overwriting_excludes_doing_again(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^retry=failed: goes on with a sweep, overwrite=True does not$"):
        sweep([TINY], tmp_path, retry="failed", overwrite=True)


def meanwhile(attempt: Callable[[], Any]) -> tuple[Callable[[Any], None], list[str]]:
    """An observer in which somebody else makes an attempt, and what is said to that."""
    said: list[str] = []

    def observe(state: Any) -> None:
        try:
            Context().run(attempt)
        except SettingError as error:
            said.append(str(error))

    return observe, said


def test_nobody_else_writes_where_a_run_trains(tmp_path: Path) -> None:
    attempts = (
        lambda: train(TINY, tmp_path, overwrite=True),
        lambda: resume(tmp_path),
        lambda: sweep([TINY], tmp_path, workers=1, overwrite=True),
        lambda: cure(TINY, tmp_path, workers=1),
        lambda: monitor.save(tmp_path, overwrite=True),
    )
    monitor = model_monitored(1)
    for attempt in attempts:
        observe, said = meanwhile(attempt)
        train(TINY, tmp_path, overwrite=True, observe=observe)
        assert said
        assert all(f"process {os.getpid()} on " in line and "at work there" in line for line in said)
        assert read_run(tmp_path)["status"] == "completed"


def test_nobody_else_goes_on_with_a_run_of_a_sweep_that_trains(tmp_path: Path) -> None:
    observe, said = meanwhile(lambda: resume(tmp_path / "0"))
    sweep([TINY, replace(TINY, seed=1)], tmp_path, workers=1, tell=observe)
    assert len(said) == 2
    assert all(
        line.startswith(f"resume={tmp_path}/0: is part of {tmp_path}, where process ") for line in said
    )


def test_a_monitor_keeps_what_another_has_saved(tmp_path: Path) -> None:
    first, second = model_monitored(1), model_monitored(2)
    first.save(tmp_path)
    first.save(tmp_path)
    with pytest.raises(SettingError, match=rf"^folder={tmp_path}: holds a completed run; "):
        second.save(tmp_path)
    assert read_run(tmp_path)["steps"] == 1
    second.save(tmp_path, overwrite=True)
    assert read_run(tmp_path)["steps"] == 2
    with pytest.raises(SettingError, match="is a file, not a folder"):
        first.save(tmp_path / "run.json")
