"""The verdict on a run, rule by rule."""

from __future__ import annotations

import pytest

from vanishgrad.report.verdict import Evidence, has_learned, verdict

NAN = float("nan")
AT_CHANCE, LEARNED = (0.1, 0.11), (0.1, 0.9)


@pytest.mark.parametrize(
    "status, decades, accuracy, expected",
    [
        ("completed", (12.0, 12.0), AT_CHANCE, "vanishing"),
        ("completed", (NAN, 2.5), AT_CHANCE, "vanishing"),
        ("completed", (-3.0, 0.0), AT_CHANCE, "exploding"),
        ("completed", (0.5, -0.5), AT_CHANCE, "does not learn"),
        ("completed", (NAN, NAN), AT_CHANCE, "does not learn"),
        ("completed", (), AT_CHANCE, "does not learn"),
        ("completed", (3.0, 3.0), LEARNED, "learns"),
        ("running", (0.0, 0.0), LEARNED, "learns"),
        ("diverged", (0.0, 0.0), LEARNED, "diverged"),
        ("diverged", (12.0, NAN), AT_CHANCE, "diverged"),
        ("diverged", (-15.0, NAN), AT_CHANCE, "exploding"),
        ("completed", (0.1, 0.1), (NAN, NAN), "gradients flow"),
        ("completed", (9.0, 9.0), (NAN, NAN), "vanishing"),
    ],
)
def test_verdicts(
    status: str, decades: tuple[float, ...], accuracy: tuple[float, float], expected: str
) -> None:
    assert verdict(Evidence(status, decades, accuracy)) == expected


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
    "status, decades, time_decades, accuracy, expected",
    [
        ("completed", (NAN,), (9.0, 9.0), AT_CHANCE, "vanishing through time"),
        ("completed", (NAN,), (NAN, -3.0), AT_CHANCE, "exploding through time"),
        ("completed", (2.5,), (-3.0,), AT_CHANCE, "vanishing"),
        ("completed", (NAN,), (9.0, 9.0), LEARNED, "learns"),
        ("completed", (NAN,), (1.0, -1.0), AT_CHANCE, "does not learn"),
        ("diverged", (NAN,), (-9.0,), AT_CHANCE, "exploding through time"),
        ("diverged", (NAN,), (9.0,), AT_CHANCE, "diverged"),
    ],
)
def test_verdicts_through_time(
    status: str,
    decades: tuple[float, ...],
    time_decades: tuple[float, ...],
    accuracy: tuple[float, float],
    expected: str,
) -> None:
    assert verdict(Evidence(status, decades, accuracy, time_decades=time_decades)) == expected


def test_numbers_that_overflow_before_any_training_are_an_explosion() -> None:
    assert verdict(Evidence("diverged", (NAN, NAN), overflowed=True)) == "exploding"
    assert verdict(Evidence("completed", (NAN, NAN), overflowed=True)) == "gradients flow"


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
