"""The table of a sweep made from its record is the one made by reading every folder."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from vanishgrad import Run, train
from vanishgrad.cli.sweep_table import _runs_of, show_sweep
from vanishgrad.engine import Provenance
from vanishgrad.records import GRADIENTS_FILE, METRICS_FILE
from vanishgrad.rows import read_text
from vanishgrad.sweeps.job import Job

Vanishgrad = Callable[..., Any]
TINY = ("width=2", "max_steps=3", "log_every=1", "eval_every=2", "threads=1")
SWEEPS = {
    "learning and diverging": ("act=identity", "lr=0.1,1e30", "seed=0,1", "depth=3", *TINY),
    "through time": ("model=rnn,lstm", "data=adding", "data.length=6", "data.train_size=128",
                     "data.held_out=64", "seed=0,1", *TINY),
}  # fmt: skip


def of_folders(folder: Path) -> tuple[pd.DataFrame, str]:
    """The table made by reading the folders, as a file and as it is shown."""
    file = io.StringIO()
    show_sweep(Console(file=file, width=200, highlight=False), folder)
    return read_text(folder / "sweep_summary.csv"), file.getvalue()


@pytest.mark.parametrize("typed", SWEEPS.values(), ids=SWEEPS)
def test_the_record_of_a_sweep_tells_what_its_folders_tell(
    vanishgrad: Vanishgrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    done = vanishgrad("train", "-m", *typed, "hydra.sweep.dir=out")
    assert done.status == 0, done.err
    ours = read_text(tmp_path / "out" / "sweep_summary.csv")
    theirs, shown = of_folders(tmp_path / "out")
    assert list(ours.columns) == list(theirs.columns)
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-6, atol=1e-9)
    assert len(ours) > 1
    table = [line.split() for line in shown.splitlines() if not line.endswith("out")]
    printed = [line.split() for line in done.out.splitlines()]
    assert [line for line in printed if line in table] == table


def test_of_a_run_of_the_record_no_table_is_read(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    typed = ("train", "-m", "seed=0,1", "depth=2", *TINY)
    assert vanishgrad(*typed, "hydra.sweep.dir=out").status == 0
    first = (tmp_path / "out" / "sweep_summary.csv").read_bytes()
    for number in (0, 1):
        (tmp_path / "out" / str(number) / GRADIENTS_FILE).write_text("step,layer\n")
        (tmp_path / "out" / str(number) / METRICS_FILE).write_text("step\n")
    (tmp_path / "out" / "sweep_summary.csv").unlink()
    done = vanishgrad(*typed, "sweep.resume=out")
    assert done.status == 0, done.err
    assert (tmp_path / "out" / "sweep_summary.csv").read_bytes() == first


def test_runs_that_lack_their_lines_are_in_the_table_all_the_same(
    vanishgrad: Vanishgrad, tmp_path: Path
) -> None:
    typed = ("train", "-m", "act=relu,tanh", "seed=0,1", "depth=3", *TINY)
    assert vanishgrad(*typed, "hydra.sweep.dir=out").status == 0
    first = read_text(tmp_path / "out" / "sweep_summary.csv")
    lines = (tmp_path / "out" / "runs.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "out" / "runs.jsonl").write_text("".join(lines[:1]))  # as a power cut may leave it
    assert vanishgrad(*typed, "sweep.resume=out").status == 0
    again = read_text(tmp_path / "out" / "sweep_summary.csv")
    pd.testing.assert_frame_equal(again, first, rtol=1e-6, atol=1e-9)
    shutil.rmtree(tmp_path / "out" / "3")
    theirs, _ = of_folders(tmp_path / "out")
    assert theirs["runs"].sum() == 3


def test_a_run_without_an_outcome_is_read_from_its_folder_if_it_has_one(tmp_path: Path) -> None:
    runs = [Run(depth=2, width=2, max_steps=1, seed=seed) for seed in (0, 1)]
    jobs = [Job(run.seed, run, tmp_path / str(run.seed), Provenance(), f"seed={run.seed}") for run in runs]
    train(runs[0], jobs[0].folder)
    assert [(one.numbers.seed, one.numbers.status) for one in _runs_of(jobs, {})] == [(0, "completed")]
