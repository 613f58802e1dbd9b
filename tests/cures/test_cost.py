"""What the steps of a treatment cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vanishgrad import Run
from vanishgrad.choices.activation import Sigmoid
from vanishgrad.choices.data import Spirals
from vanishgrad.choices.pretraining import Autoencoder
from vanishgrad.cures import search as cost
from vanishgrad.cures.search import STEPS, relative_costs, seconds_per_step

RUN = Run(depth=2, width=4, act=Sigmoid(), batch_size=16, data=Spirals(points=90))


class Clock:
    """A second for every look at it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def test_of_the_turns_the_quickest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([2.0, 9.0, 4.0, 3.0, 6.0, 5.0])  # two turns of three runs
    monkeypatch.setattr(cost, "seconds_per_step", lambda run, total: next(seconds))
    assert relative_costs(RUN, [RUN, RUN], 100) == [3.0, 2.0]


def test_a_step_is_what_passes_between_two_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vanishgrad.cures.search.time.process_time", Clock())
    assert seconds_per_step(replace(RUN, device="cpu"), 100) == 1.0


def test_pretraining_is_shared_out_over_the_steps_that_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two layers with three epochs each, which are seven looks at the clock with that before the first."""
    monkeypatch.setattr("vanishgrad.cures.search.time.process_time", Clock())
    run = replace(RUN, device="cpu", pretrain=Autoencoder(epochs=3))
    whole = 2 * (3 + 1)  # an epoch 0 tells the loss before any
    assert seconds_per_step(run, 100) == pytest.approx(1.0 + whole / 100)


def test_a_short_run_is_trained_and_nothing_is_measured_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[Run]()
    real = cost.train

    def train(run: Run, **options: object) -> object:
        seen.append(run)
        return real(run, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(cost, "train", train)
    seconds_per_step(replace(RUN, epochs=1, warmup=500, dead_every=1), 100)
    (run,) = seen
    assert (run.max_steps, run.warmup, run.dead_every) == (STEPS, 0, 0)
    assert run.log_every > STEPS < (run.eval_every or 0)


def test_a_clock_that_is_too_coarse_for_a_step_gives_no_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "seconds_per_step", lambda run, total: 0.0)
    assert relative_costs(RUN, [RUN], 100) == [None]
