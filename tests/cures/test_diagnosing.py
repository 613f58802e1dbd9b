"""The diagnosis of a setting from its runs."""

from __future__ import annotations

from pathlib import Path

from vanishgrad import Run, train
from vanishgrad.choices.activation import Sigmoid
from vanishgrad.cures.trial import Trial, Yardstick, course, diagnosed, pooled_diagnosis
from vanishgrad.diagnosis import Diagnosis, Finding, Pathology
from vanishgrad.sweeps.job import Outcome


def finding(name: Pathology, severity: float) -> Finding:
    return Finding(name, severity, 1.0, (), 0, {})


def test_what_is_worst_in_all_runs_together_comes_first() -> None:
    first = Diagnosis((finding("saturated", 0.9), finding("vanishing", 0.6)), False)
    second = Diagnosis((finding("vanishing", 0.7),), False)
    found = pooled_diagnosis([first, second, Diagnosis((), True)])
    assert [(one.finding, one.severity) for one in found.findings] == [("vanishing", 0.7), ("saturated", 0.9)]
    assert found.learned is False


def test_it_learned_if_all_runs_did() -> None:
    assert pooled_diagnosis([Diagnosis((), True), Diagnosis((), True), Diagnosis()]).learned is True
    assert pooled_diagnosis([Diagnosis()]).learned is None
    assert pooled_diagnosis([]).findings == ()


def test_the_run_folders_of_a_trial_are_diagnosed(tmp_path: Path) -> None:
    run = Run(depth=15, width=8, act=Sigmoid(), max_steps=40)
    courses = []
    for seed in range(2):
        train(Run(depth=run.depth, width=8, act=run.act, max_steps=40, seed=seed), tmp_path / str(seed))
        courses.append(course(tmp_path / str(seed), Outcome(seed, "completed", 1.0)))
    (tmp_path / "lost").mkdir()
    courses.append(course(tmp_path / "lost", None))
    yard = Yardstick("val_accuracy", 0.9)
    trial = Trial(40, tuple(courses), tuple(one.gain(yard) for one in courses), 0)
    assert diagnosed(trial).verdict == "vanishing"
