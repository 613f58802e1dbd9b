"""stop_on ends a run at the first logged step that shows the finding, alone and in a stack."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from vanishgrad import Run, train
from vanishgrad.choices.activation import ReLU, Sigmoid, Tanh
from vanishgrad.choices.clipping import ClipByNorm
from vanishgrad.choices.data import Digits
from vanishgrad.choices.initialization import Normal, Xavier
from vanishgrad.choices.normalization import BatchNorm
from vanishgrad.choices.schedule import CosineLR
from vanishgrad.engine import Result, resume
from vanishgrad.engine.session import Progress
from vanishgrad.sweeps.job import Job
from vanishgrad.sweeps.work import train_stack

SMALL = Run(
    depth=20, width=16, max_steps=23, log_every=4, eval_every=50, data=Digits(train_size=256), act=Sigmoid(),
    stop_on="vanishing", dtype="float64",
)  # fmt: skip
HEALTHY: dict[str, Any] = {"act": Tanh(), "init": Xavier(), "depth": 3}


def stacked(runs: list[Run], folder: Path) -> list[Result]:
    results: dict[int, Result] = {}
    jobs = [Job(place, run, folder / str(place)) for place, run in enumerate(runs)]
    train_stack(runs, results.__setitem__, jobs)
    return [results[place] for place in range(len(runs))]


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


def without_seconds(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns="seconds", errors="ignore").reset_index(drop=True)


def assert_same(mine: Result, lone: Result) -> None:
    assert (mine.status, mine.steps) == (lone.status, lone.steps)
    for one, other in ((mine.gradients, lone.gradients), (mine.metrics, lone.metrics)):
        pd.testing.assert_frame_equal(without_seconds(one), without_seconds(other), rtol=1e-6, atol=1e-12)
    for name, value in lone.model.state_dict().items():
        torch.testing.assert_close(mine.model.state_dict()[name], value, msg=name)


def test_a_vanishing_run_stops_and_says_why(tmp_path: Path) -> None:
    result = train(SMALL, tmp_path)
    assert result.status == "completed"
    assert 0 < result.steps < 23
    assert record(tmp_path)["stopped_on"] == "vanishing"
    assert record(tmp_path)["steps"] == result.steps


def test_it_is_the_run_that_would_have_gone_on(tmp_path: Path) -> None:
    """Up to its last step; that one is measured and updates nothing, as the last of any run."""
    stopped = train(SMALL)
    whole = train(replace(SMALL, stop_on=None, max_steps=stopped.steps))
    assert_same(stopped, whole)
    last = stopped.gradients[stopped.gradients["step"] == stopped.steps]
    assert last["update_ratio"].isna().all()
    assert stopped.metrics["val_loss"].notna().iloc[-1]


def test_the_schedule_is_that_of_the_whole_run() -> None:
    run = replace(SMALL, schedule=CosineLR(), log_every=1)
    stopped, whole = train(run), train(replace(run, stop_on=None))
    rates = whole.metrics["lr"].iloc[: len(stopped.metrics)]
    pd.testing.assert_series_equal(stopped.metrics["lr"], rates)


@pytest.mark.parametrize("run", [replace(SMALL, **HEALTHY), replace(SMALL, stop_on="exploding")])
def test_a_run_without_the_finding_goes_to_its_end(run: Run, tmp_path: Path) -> None:
    assert train(run, tmp_path).steps == 23
    assert record(tmp_path)["stopped_on"] is None


def test_any_finding_may_be_meant(tmp_path: Path) -> None:
    result = train(
        replace(SMALL, stop_on="any", act=ReLU(), init=Normal(1.0), clip=ClipByNorm(1.0)), tmp_path
    )
    assert result.steps < 23
    assert record(tmp_path)["stopped_on"] is not None


@pytest.mark.parametrize(
    "changes", [{}, {"norm": BatchNorm(), "lr": 1e-4}, {"clip": ClipByNorm(1e-3)}, {"log_every": 1}]
)
def test_runs_of_a_stack_stop_each_for_itself(changes: dict[str, Any], tmp_path: Path) -> None:
    """One is made to vanish by its small weights, the other two are not."""
    common = replace(SMALL, act=Tanh(), stop_on="vanishing", **changes)
    runs = [
        replace(common, init=Xavier(), seed=0),
        replace(common, init=Normal(0.02), seed=1),
        replace(common, init=Xavier(), seed=2),
    ]
    together = stacked(runs, tmp_path)
    for run, result in zip(runs, together, strict=True):
        assert_same(result, train(run))
    if "norm" not in changes:
        assert together[1].steps < 23
        assert record(tmp_path / "1")["stopped_on"] == "vanishing"
    assert {together[0].steps, together[2].steps} == {23}


def test_a_resumed_run_remembers_what_it_saw(tmp_path: Path) -> None:
    run = replace(SMALL, log_every=1, save_every=1)
    whole = train(run)

    def stop(state: Any) -> None:
        if isinstance(state, Progress) and state.step == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(run, tmp_path, observe=stop)
    assert_same(resume(tmp_path), whole)
