"""How well a run did, on one scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vanishgrad import Run, train
from vanishgrad.choices.data import Adding, Digits, MovingDigits, Spirals, TemporalOrder, load
from vanishgrad.choices.loss import BCE, MSE
from vanishgrad.choices.model.conv_lstm import ConvLSTM
from vanishgrad.choices.model.recurrent import RNN
from vanishgrad.cures.trial import LOST, Course, Yardstick, course, yardstick
from vanishgrad.sweeps.job import Outcome


def test_of_classes_the_most_frequent_one_is_ignorance() -> None:
    data = load(Digits())
    labels = data.val_y.numpy()
    expected = 1 - np.unique(labels, return_counts=True)[1].max() / len(labels)
    assert yardstick(Run(), data) == Yardstick("val_accuracy", pytest.approx(expected))


def test_published_baselines_come_first() -> None:
    adding = Run(model=RNN(), data=Adding(length=10, train_size=64, held_out=64))
    assert yardstick(adding, load(adding.data)) == Yardstick("val_loss", 1 / 6)
    order = Run(model=RNN(), data=TemporalOrder(train_size=64, held_out=64))
    assert yardstick(order, load(order.data)) == Yardstick("val_accuracy", 0.75)


def test_a_loss_of_values_is_held_against_their_mean() -> None:
    films = MovingDigits(train_size=16, held_out=8)
    data = load(films)
    mean, wanted = data.train_y.numpy().mean(0), data.val_y.numpy()
    squares = ((wanted - mean) ** 2).sum() / len(wanted)
    run = Run(model=ConvLSTM(), data=films, loss=MSE())
    assert yardstick(run, data).error == pytest.approx(squares, rel=1e-4)
    run = Run(model=ConvLSTM(), data=films, loss=BCE())
    p = mean.clip(1e-6, 1 - 1e-6)
    entropy = -(wanted * np.log(p) + (1 - wanted) * np.log(1 - p)).sum() / len(wanted)
    assert yardstick(run, data).error == pytest.approx(entropy, rel=1e-3)


def test_the_gain_is_the_share_of_the_ignorant_error_that_is_gone(yard: Yardstick) -> None:
    assert yard.gain(0.1, 99.0) == pytest.approx(0)
    assert yard.gain(1.0, 99.0) == 1
    assert yard.gain(0.55, 99.0) == pytest.approx(0.5)
    assert Yardstick("val_loss", 2.0).gain(math.nan, 0.5) == 0.75
    assert Yardstick("val_loss", 2.0).gain(math.nan, 1e9) == LOST
    assert yard.gain(math.nan, 1.0) == LOST


def test_a_run_that_was_lost_has_gained_nothing_whatever_it_scored_before(
    made: Callable[..., Course], yard: Yardstick
) -> None:
    assert made([0.1, 0.9], "diverged").gain(yard) == LOST
    assert not made([0.1, 0.9], "diverged").learned(yard)
    assert made([0.1, 0.9]).learned(yard)
    assert made([0.1, 0.33]).learned(yard)
    assert not made([0.1, 0.32]).learned(yard)


def test_a_threshold_is_reached_at_the_first_evaluation_that_has_it(
    made: Callable[..., Course], yard: Yardstick
) -> None:
    run = made([0.1, 0.55, 0.4, 0.91])
    assert run.reached(yard, 0.5) == 10
    assert run.reached(yard, 0.9) == 30
    assert run.reached(yard, 0.95) is None


def test_a_course_is_read_from_a_run_folder(tmp_path: Path) -> None:
    run = Run(depth=3, width=8, max_steps=20, eval_every=5, data=Spirals(points=90), batch_size=16)
    result = train(run, tmp_path)
    found = course(tmp_path, Outcome(0, "completed", 1.0, {"gradient_slope": 0.25}))
    assert found.steps == (0, 5, 10, 15, 20)
    assert found.accuracy[-1] == pytest.approx(result.final["val_accuracy"])
    assert found.loss[-1] == pytest.approx(result.final["val_loss"])
    assert (found.status, found.slope) == ("completed", 0.25)


def test_a_recurrent_run_has_its_slope_through_time(tmp_path: Path) -> None:
    data = Adding(length=6, train_size=32, held_out=16)
    result = train(Run(model=RNN(), width=4, max_steps=2, batch_size=16, data=data), tmp_path)
    rows = result.extra["time_gradients"].query("step == 0")
    expected = np.polyfit(rows["t"], np.log10(rows["grad_norm"]), 1)[0]
    found = course(tmp_path, Outcome(0, "completed", 1.0, {"gradient_slope": None}))
    assert found.slope == pytest.approx(expected)


def test_a_folder_without_tables_is_a_failed_run(tmp_path: Path, yard: Yardstick) -> None:
    assert course(tmp_path, None).status == "failed"
    assert course(tmp_path, None).gain(yard) == LOST
