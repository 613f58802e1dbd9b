"""Successive halving, with an objective that is known."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from vanishgrad.cures.trial import Round, Tried, halve, rounds
from vanishgrad.errors import SettingError

PLAN = (Round(10, 4), Round(20, 2), Round(40))


def key(candidate: int, result: float) -> tuple[float, int]:
    return result, -candidate


class Bench:
    """Gives each candidate its own number, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, list[int]]] = []

    def __call__(self, some: Sequence[int], stage: Round) -> list[float]:
        self.asked.append((stage.steps, list(some)))
        return [float(one) for one in some]


def test_rounds_double_up_to_the_budget() -> None:
    assert rounds(440, (10, 8)) == (Round(110, 10), Round(220, 8), Round(440))
    assert rounds(441, (10, 8))[-1] == Round(441)


def test_a_small_budget_has_fewer_rounds() -> None:
    assert rounds(40, (10, 8)) == (Round(10, 10), Round(20, 8), Round(40))  # ten steps are enough
    assert rounds(39, (10, 8)) == (Round(19, 8), Round(39))
    assert rounds(19, (10, 8)) == (Round(19),)
    assert rounds(1, (10, 8)) == (Round(1),)
    with pytest.raises(SettingError, match=r"cure\.budget=0"):
        rounds(0, (10, 8))


def test_the_better_ones_go_on_for_longer() -> None:
    bench = Bench()
    found = halve(range(8), PLAN, bench, key)
    assert bench.asked == [(10, list(range(8))), (20, [7, 6, 5, 4]), (40, [7, 6])]
    assert [one.candidate for one in found] == [7, 6, 5, 4, 3, 2, 1, 0]
    assert [one.round for one in found] == [3, 3, 2, 2, 1, 1, 1, 1]


def test_one_that_is_good_only_later_is_lost_and_one_that_is_worse_later_falls_behind() -> None:
    """What a round ranks by is the round's own result."""
    late = {0: (0.0, 9.0, 9.0), 1: (5.0, 1.0, 1.0), 2: (4.0, 2.0, 2.0)}
    plan = (Round(10, 2), Round(20))

    def trial(some: Sequence[int], stage: Round) -> list[float]:
        return [late[one][plan.index(stage)] for one in some]

    found = halve([0, 1, 2], plan, trial, key)
    assert found == [Tried(2, 2.0, 2), Tried(1, 1.0, 2), Tried(0, 0.0, 1)]


def test_what_grows_out_of_the_first_round_joins_the_second() -> None:
    bench, seen = Bench(), list[list[int]]()

    def grow(ranked: Sequence[int]) -> list[int]:
        seen.append(list(ranked))
        return [ranked[0] * 10, ranked[0]]

    found = halve(range(6), PLAN, bench, key, grow)
    assert seen == [[5, 4, 3, 2, 1, 0]]
    assert bench.asked[1] == (20, [5, 4, 3, 2, 50])
    assert [one.candidate for one in found] == [50, 5, 4, 3, 2, 1, 0]


def test_ties_fall_to_the_candidate_that_came_first() -> None:
    found = halve(range(6), PLAN, lambda some, stage: [0.0] * len(some), key)
    assert [one.candidate for one in found] == list(range(6))


def test_a_single_round_ranks_all() -> None:
    found = halve([3, 9, 5], [Round(7)], Bench(), key)
    assert [(one.candidate, one.round) for one in found] == [(9, 1), (5, 1), (3, 1)]
