"""Treatments trained over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from vanishgrad import Run, train
from vanishgrad.choices.activation import Sigmoid
from vanishgrad.choices.data import Spirals, load
from vanishgrad.choices.schedule import CosineLR
from vanishgrad.cures.candidates import Treatment, treatment
from vanishgrad.cures.trial import Round, Trials, small_copy, yardstick
from vanishgrad.description import applied
from vanishgrad.engine.update import rate_at
from vanishgrad.records import read_run
from vanishgrad.sweeps.job import Job, Outcome

SICK = Run(depth=3, width=8, act=Sigmoid(), batch_size=16, epochs=5, data=Spirals(points=90))
TYPED = ["depth=3", "width=8", "act=sigmoid", "seed=4", "max_steps=99"]


def alone(jobs: Sequence[Job]) -> Mapping[int, Outcome]:
    """One after the other."""
    results = {job.number: train(job.run, job.folder, provenance=job.provenance) for job in jobs}
    return {number: Outcome(number, one.status, one.seconds) for number, one in results.items()}


@pytest.fixture
def trials(tmp_path: Path) -> Trials:
    return Trials(tmp_path, [4, 5], 20, yardstick(SICK, load(SICK.data)), alone, TYPED)


def test_every_treatment_is_trained_for_every_seed_in_a_folder_of_its_own(
    trials: Trials, tmp_path: Path
) -> None:
    relu = treatment(SICK, applied(SICK, "act=relu"))
    first, second = trials([Treatment(SICK), relu], Round(10))
    assert [run.folder for run in (*first.courses, *second.courses)] == [tmp_path / str(n) for n in range(4)]
    (third,) = trials([relu], Round(20))
    assert [run.folder.name for run in third.courses] == ["4", "5"]
    records = [read_run(run.folder) for run in third.courses]
    assert [one["seed"] for one in records] == [4, 5]
    assert {one["steps"] for one in records} == {20}
    assert {one["effective"]["act"]["name"] for one in records} == {"relu"}


def test_a_run_says_what_to_type_for_it(trials: Trials, tmp_path: Path) -> None:
    trials([treatment(SICK, applied(SICK, "act=leaky_relu act.slope=0.2"))], Round(10))
    assert read_run(tmp_path / "0")["overrides"] == [
        "depth=3", "width=8", "act=leaky_relu", "act.slope=0.2", "max_steps=10", "seed=4",
    ]  # fmt: skip


def test_a_trial_keeps_its_tables_and_not_its_weights(trials: Trials, tmp_path: Path) -> None:
    (found,) = trials([Treatment(SICK)], Round(10))
    kept = {"run.json", "gradients.csv", "metrics.csv", "theory.json", "diagnosis.json"}
    assert {path.name for path in (tmp_path / "0").iterdir()} == kept
    assert found.steps == 10
    assert found.courses[0].steps[-1] == 10


def test_a_trial_is_what_training_its_setting_alone_gives(trials: Trials) -> None:
    (found,) = trials([Treatment(SICK)], Round(20))
    expected = train(replace(SICK, seed=5, max_steps=20))
    digits = 1e-8  # that a table is written with
    assert found.courses[1].accuracy[-1] == pytest.approx(expected.final["val_accuracy"], rel=digits)
    assert found.courses[1].loss[-1] == pytest.approx(expected.final["val_loss"], rel=digits)


def test_a_short_run_is_a_small_copy_of_the_whole_one() -> None:
    whole = replace(SICK, warmup=40, schedule=CosineLR(), max_steps=400, epochs=1000, save_every=7, seed=1)
    short = small_copy(whole, Round(100), 400, seed=9)
    assert (short.max_steps, short.warmup, short.seed, short.save_every) == (100, 10, 9, 0)
    for step in (0, 4, 8, 20, 50, 99):
        assert rate_at(short, step, 100) == pytest.approx(
            rate_at(whole, 4 * step + 3 * (step < 10), 400), rel=0.02
        )


def test_runs_that_are_lost_weigh_more_than_any_loss(trials: Trials) -> None:
    exploding = replace(SICK, lr=3e38)
    lost, kept = trials([Treatment(exploding), Treatment(SICK)], Round(10))
    assert lost.loss == float("inf")
    assert lost.key < kept.key
    assert lost.learned == 0
