"""Runs and trials made by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vanishgrad.cures.trial import Course, Trial, Yardstick


@pytest.fixture
def yard() -> Yardstick:
    """Ten classes, as many of each."""
    return Yardstick("val_accuracy", 0.9)


@pytest.fixture
def made() -> Callable[..., Course]:
    """A run that was evaluated every ten steps."""

    def make(accuracies: Sequence[float], status: str = "completed", slope: float = 0.0) -> Course:
        steps = tuple(10 * place for place in range(len(accuracies)))
        losses = tuple(3 * (1 - one) for one in accuracies)
        return Course(status, steps, tuple(accuracies), losses, slope, Path("nowhere"))

    return make


@pytest.fixture
def trial(made: Callable[..., Course], yard: Yardstick) -> Callable[..., Trial]:
    """A trial of one run per list of accuracies."""

    def make(*runs: Sequence[float], status: str = "completed", slope: float = 0.0) -> Trial:
        courses = tuple(made(one, status, slope) for one in runs)
        gains = tuple(one.gain(yard) for one in courses)
        return Trial(10 * len(runs[0]), courses, gains, sum(one.learned(yard) for one in courses))

    return make
