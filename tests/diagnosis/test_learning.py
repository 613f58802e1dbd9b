"""Whether training achieved something."""

from __future__ import annotations

import pytest

from vanishgrad.diagnosis.record import has_learned, progress

NAN = float("nan")


@pytest.mark.parametrize(
    "accuracy, loss, learned",
    [
        ((0.1, 0.33), (NAN, NAN), True),  # error 0.90 -> 0.67, under three quarters
        ((0.1, 0.32), (NAN, NAN), False),
        ((0.5, 0.62), (NAN, NAN), False),  # two classes at chance
        ((1.0, 1.0), (NAN, NAN), False),  # nothing was left to learn
        ((0.1, 0.11), (100.0, 2.3), False),  # the loss of a bad start falls without learning
        ((NAN, NAN), (2.0, 1.0), True),
        ((NAN, NAN), (2.0, 1.1), False),
        ((NAN, 0.9), (NAN, NAN), None),
        ((NAN, NAN), (2.0, float("inf")), None),
    ],
)
def test_learning(accuracy: tuple[float, float], loss: tuple[float, float], learned: bool | None) -> None:
    assert has_learned(accuracy, loss) is learned


@pytest.mark.parametrize(
    "error, learned",
    [
        ((1 / 6, 0.01), True),
        ((1 / 6, 0.13), False),  # a loss of 2 at the start does not make this learning
        ((0.75, 0.75), False),  # one of four classes, always
        ((0.75, 0.5), True),
        ((0.0, 0.0), False),
    ],
)
def test_what_ignorance_scores_takes_the_place_of_the_start(
    error: tuple[float, float], learned: bool
) -> None:
    assert has_learned((0.0, 0.25), (2.0, 0.13), error) is learned


def test_a_baseline_without_a_result_says_nothing() -> None:
    assert has_learned((0.1, 0.9), (NAN, NAN), (0.75, NAN)) is True


def test_progress_is_the_part_that_was_taken_away() -> None:
    assert progress((0.1, 0.55), (2.0, 1.0)) == pytest.approx(0.5)
    assert progress((NAN, NAN), (2.0, 1.5)) == pytest.approx(0.25)
    assert progress((0.1, 0.55), (2.0, 1.0), (0.8, 0.8)) == 0
