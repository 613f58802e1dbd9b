"""A sweep goes on only with the jobs that it was begun with, and says what is different."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from vanishgrad.choices.activation import LeakyReLU, ReLU, Tanh
from vanishgrad.choices.optimizer import SGD
from vanishgrad.choices.schedule import StepLR
from vanishgrad.errors import SettingError
from vanishgrad.records import SWEEP_RUNS_FILE
from vanishgrad.run import Run
from vanishgrad.sweeps import resumption
from vanishgrad.sweeps.job import Job
from vanishgrad.sweeps.ledger import begin
from vanishgrad.sweeps.resumption import changed_keys, reopen


def jobs_in(folder: Path, runs: Sequence[Run]) -> list[Job]:
    return [Job(number, run, folder / str(number)) for number, run in enumerate(runs)]


def refusal(folder: Path, jobs: Sequence[Job]) -> str:
    with pytest.raises(SettingError) as caught:
        reopen(folder, jobs, None)
    return str(caught.value)


def changed(folder: Path, then: Sequence[Run], now: Sequence[Run]) -> str:
    begin(folder, jobs_in(folder, then))
    said = refusal(folder, jobs_in(folder, now))
    return said.removeprefix(f"sweep.resume={folder}: was begun with other settings: ")


def test_a_changed_setting_is_refused_with_the_difference(tmp_path: Path) -> None:
    then, now = Run(lr=0.1, act=Tanh()), Run(lr=0.2, act=ReLU())
    assert changed(tmp_path, [Run(), then], [Run(), now]) == "job 1: lr 0.1 -> 0.2, act tanh -> relu"
    assert not (tmp_path / SWEEP_RUNS_FILE).exists()


def test_a_choice_with_a_list_equals_itself(tmp_path: Path) -> None:
    jobs = jobs_in(tmp_path, [Run(schedule=StepLR(milestones=(0.3, 0.6)))])
    begin(tmp_path, jobs)
    assert reopen(tmp_path, jobs, None) == jobs


def test_a_changed_parameter_of_a_choice_is_named_with_it(tmp_path: Path) -> None:
    then, now = Run(act=LeakyReLU(0.1)), Run(act=LeakyReLU(0.2), optim=SGD(0.9))
    assert changed(tmp_path, [then], [now]) == "job 0: act.slope 0.1 -> 0.2, optim.momentum 0.0 -> 0.9"


def test_many_differences_are_shortened(tmp_path: Path) -> None:
    then = [Run(seed=seed) for seed in range(15)]
    now = [Run(seed=seed, lr=0.2, width=8, depth=3, epochs=1, warmup=2, log_every=7) for seed in range(15)]
    told = changed(tmp_path, then, now)
    parts = told.split("; ")
    shown = "depth 5 -> 3, width 64 -> 8, epochs 20 -> 1, lr 0.1 -> 0.2, and 2 more"
    assert parts[0] == f"job 0: {shown}"
    assert [part.split(":")[0] for part in parts] == ["job 0", "job 1", "job 2", "and 12 more jobs"]


def test_another_order_of_the_runs_is_refused(tmp_path: Path) -> None:
    one, two = Run(seed=1), Run(seed=2)
    assert changed(tmp_path, [one, two], [two, one]) == "job 0: seed 1 -> 2; job 1: seed 2 -> 1"


def test_another_folder_of_a_run_is_refused(tmp_path: Path) -> None:
    (job,) = jobs_in(tmp_path, [Run()])
    begin(tmp_path, [job])
    assert "job 0: folder 0 -> b/0" in refusal(tmp_path, [replace(job, folder=tmp_path / "b" / "0")])


@pytest.mark.parametrize("value", [1 / 3, 1e-300, math.inf, -math.inf, math.nan, (1, 2), None, "ü", 10**20])
def test_any_value_equals_itself_after_the_round_trip(tmp_path: Path, value: object) -> None:
    run = Run()
    object.__setattr__(run, "name", value)  # past the checks
    jobs = jobs_in(tmp_path, [run])
    begin(tmp_path, jobs)
    assert reopen(tmp_path, jobs, None) == jobs


def test_what_a_newer_version_added_has_not_changed() -> None:
    old = {"lr": 0.1, "act": {"name": "elu", "gone": 3}}
    new = {"lr": 0.1, "act": {"name": "elu", "alpha": 1.0}, "added": 5}
    assert changed_keys(old, new) == []


def test_other_versions_are_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = jobs_in(tmp_path, [Run()])
    begin(tmp_path, jobs)
    now = resumption.versions()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reopen(tmp_path, jobs, None)
    monkeypatch.setattr(resumption, "versions", lambda: now | {"torch": "9.9"})
    told = f"sweep.resume={tmp_path}: was begun with other versions: torch {now['torch']} -> 9.9"
    with pytest.warns(UserWarning, match=f"^{re.escape(told)}$"):
        assert reopen(tmp_path, jobs, None) == jobs
