"""Bracketing and bisection on a positive scale."""

import math
from itertools import pairwise

import pytest

from vanishgrad.theory.gaussian import bisect, roots, scales


@pytest.mark.parametrize("ends", [(1e-6, 1e6), (1e6, 1e-6)])
def test_all_roots_are_found_in_the_order_of_the_grid(ends: tuple[float, float]) -> None:
    found = list(roots(lambda x: (x - 1e-3) * (x - 2) * (x - 700), scales(*ends)))
    expected = [1e-3, 2, 700]
    assert found == pytest.approx(expected if ends[0] < ends[1] else expected[::-1], rel=1e-13)


def test_a_function_of_one_sign_has_no_roots() -> None:
    assert list(roots(lambda x: x + 1, scales(1e-6, 1e6))) == []
    assert list(roots(lambda x: 0.0, scales(1e-6, 1e6))) == []


def test_bisection_meets_rounding() -> None:
    assert bisect(lambda x: x * x - 2, 1.0, 1.5) == pytest.approx(math.sqrt(2), rel=1e-14)


def test_the_search_stops_at_the_first_root_wanted() -> None:
    asked: list[float] = []

    def record(x: float) -> float:
        asked.append(x)
        return x - 2

    next(roots(record, scales(1, 1e6)))
    assert max(asked) < 4


@pytest.mark.parametrize(("start", "stop"), [(1, 1e6), (3, 1e-9), (1, 1.1)])
def test_scales_reach_both_ends_in_small_steps(start: float, stop: float) -> None:
    grid = scales(start, stop)
    assert grid[0] == start
    assert grid[-1] == pytest.approx(stop, rel=1e-14)
    ratios = [max(a / b, b / a) for a, b in pairwise(grid)]
    assert max(ratios) <= 1.5 + 1e-12
