"""`sweep(runs)`: the command's sweep as a function."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from vanishgrad import Result, Run, sweep, train
from vanishgrad.errors import SettingError
from vanishgrad.records import read_run
from vanishgrad.sweeps.job import Outcome
from vanishgrad.sweeps.sweep import numbered_jobs

SMALL: dict[str, Any] = {"depth": 2, "width": 8, "max_steps": 6, "threads": 1}
RUNS = [Run(act=act, seed=seed, **SMALL) for act in ("sigmoid", "relu") for seed in range(2)]
RATES = [Run(lr=lr, **SMALL) for lr in (0.1, 0.2)]


def swept(runs: list[Run], out: Path | None = None, **options: Any) -> list[Result]:
    return sweep(runs, out, workers=1, **options)


@pytest.fixture(scope="module")
def alone() -> list[Result]:
    return [train(run) for run in RUNS]


@pytest.mark.parametrize("in_folder", [False, True])
def test_a_sweep_gives_what_each_run_gives_alone_in_the_same_order(
    alone: list[Result], tmp_path: Path, in_folder: bool
) -> None:
    results = swept(RUNS, tmp_path if in_folder else None)
    assert [result.run for result in results] == RUNS
    for number, (result, one) in enumerate(zip(results, alone, strict=True)):
        assert (result.status, result.steps) == ("completed", 6)
        pd.testing.assert_frame_equal(result.gradients, one.gradients, rtol=1e-3, atol=1e-9)
        assert result.final["val_accuracy"] == pytest.approx(one.final["val_accuracy"], abs=1e-6)
        assert result.diagnosis.verdict == one.diagnosis.verdict
        for name, weight in one.model.state_dict().items():
            torch.testing.assert_close(result.model.state_dict()[name], weight, rtol=1e-4, atol=1e-6)
        assert result.folder == (tmp_path / str(number) if in_folder else None)


def test_it_may_be_a_generator_and_every_outcome_is_told() -> None:
    told: list[Outcome] = []
    results = sweep((run for run in RUNS), workers=1, tell=told.append)
    assert len(results) == len(RUNS)
    assert sorted((one.number, one.status) for one in told) == [(n, "completed") for n in range(4)]
    assert all(one.metrics["gradient_slope"] is not None for one in told)


def test_the_same_call_trains_only_what_is_missing(tmp_path: Path) -> None:
    first = swept(RUNS, tmp_path)
    (tmp_path / "2" / "run.json").unlink()  # as if it had been killed before its first record
    told: list[Outcome] = []
    again = swept(RUNS, tmp_path, tell=told.append)
    assert {one.number for one in told} == {2}
    for one, two in zip(first, again, strict=True):
        pd.testing.assert_frame_equal(one.gradients, two.gradients, rtol=1e-3, atol=1e-9)
    told.clear()
    assert [one.final for one in swept(RUNS, tmp_path, tell=told.append)] == [one.final for one in again]
    assert not told


def test_other_runs_in_the_same_folder_are_refused_with_what_differs(tmp_path: Path) -> None:
    swept(RATES, tmp_path)
    message = rf"^out={tmp_path}: was begun with other settings: job 1: lr 0\.2 -> 0\.4$"
    with pytest.raises(SettingError, match=message):
        swept([RATES[0], Run(lr=0.4, **SMALL)], tmp_path)
    with pytest.raises(SettingError, match=rf"^out={tmp_path}: the sweep has 2 runs, now 3 are asked for$"):
        swept([*RATES, Run(lr=0.8, **SMALL)], tmp_path)


def test_a_folder_with_something_else_in_it_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("dear diary")
    with pytest.raises(SettingError, match=rf"^out={tmp_path}: there is something in it that is no sweep"):
        swept(RATES, tmp_path)
    with pytest.raises(SettingError, match=r"notes\.txt: is a file, not a folder"):
        swept(RATES, tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_all_runs_are_checked_before_the_first_one_begins(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"^run 1 of the sweep: batch_size=5000: there are \d+ training"):
        swept([RATES[0], Run(batch_size=5000, **SMALL)], tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


OPTIONS = {
    "workers=0": ({"workers": 0}, "workers=0: must be at least 1"),
    "workers=two": ({"workers": "two"}, "workers='two': must be an integer, or None for all cores"),
    "max_stack=0": ({"max_stack": 0}, "max_stack=0: must be at least 1"),
    "retry": ({"retry": "failed"}, "retry=failed: is for a sweep in a folder; give out=DIR too"),
}


@pytest.mark.parametrize("options, message", OPTIONS.values(), ids=OPTIONS)
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=f"^{message}"):
        sweep(RATES, **options)


def test_retry_is_failed_or_diverged(tmp_path: Path) -> None:
    swept(RATES, tmp_path)
    with pytest.raises(SettingError, match=r"^retry=all: choose one of failed, diverged"):
        swept(RATES, tmp_path, retry="all")


def test_a_run_that_fails_is_a_result_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vanishgrad.sweeps import work

    train_one = work.train

    def mostly(run: Run, *arguments: Any, **options: Any) -> Result:
        if run.lr == 0.2:
            raise RuntimeError("no such luck")
        return train_one(run, *arguments, **options)

    monkeypatch.setattr(work, "train", mostly)
    with pytest.warns(UserWarning, match=r"^1 of 2 runs failed; the first is run 1: RuntimeError: no such"):
        results = swept(RATES, tmp_path, max_stack=1)
    assert [one.status for one in results] == ["completed", "failed"]
    assert results[1].error == "RuntimeError: no such luck"
    assert len(results[1].gradients) == 0
    with pytest.raises(SettingError, match="the run is failed and has left no network"):
        _ = results[1].model
    monkeypatch.setattr(work, "train", train_one)
    assert [one.status for one in swept(RATES, tmp_path, retry="failed")] == ["completed", "completed"]


def test_a_run_that_diverges_is_a_result() -> None:
    (result,) = swept([Run(lr=1e30, **SMALL)])
    assert result.status == "diverged"
    assert result.diverged_at is not None


def test_the_labels_say_what_differs() -> None:
    jobs = numbered_jobs([*RUNS[:1], Run(act="leaky_relu", **SMALL)], Path("somewhere"))
    assert [job.label for job in jobs] == ["act=sigmoid", "act=leaky_relu act.slope=0.01"]
    assert [job.folder for job in jobs] == [Path("somewhere/0"), Path("somewhere/1")]


def test_a_sweep_in_memory_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    swept(RATES)
    assert not list(tmp_path.iterdir())


def test_the_folder_is_one_that_the_command_reads(tmp_path: Path) -> None:
    swept(RATES, tmp_path)
    assert [read_run(tmp_path / str(number))["effective"]["lr"] for number in range(2)] == [0.1, 0.2]
    assert {"sweep.json", "runs.jsonl", "0", "1"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.slow
def test_a_script_without_a_guard_trains_on_several_processes(tmp_path: Path) -> None:
    """Each process would run the script again, and begin processes of its own."""
    script = tmp_path / "mine.py"
    script.write_text(
        "from vanishgrad import Run, sweep\n"
        "print('begins', flush=True)\n"
        "runs = [Run(depth=d, width=8, max_steps=3) for d in (1, 2)]\n"
        "print([one.status for one in sweep(runs, workers=2)])\n"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, script], env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("begins\n['completed', 'completed']\n", "")
