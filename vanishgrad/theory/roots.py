"""Zeros of a function of one positive scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

HALVINGS = 50  # takes neighbouring points of `scales` to within rounding


def scales(start: float, stop: float, ratio: float = 1.5) -> list[float]:
    """Numbers from `start` to `stop`, up or down, each at most `ratio` times its neighbour."""
    steps = max(1, math.ceil(abs(math.log(stop / start)) / math.log(ratio)))
    return [start * (stop / start) ** (i / steps) for i in range(steps + 1)]


def bisect(function: Callable[[float], float], near: float, far: float) -> float:
    """The zero between two positive numbers at which `function` differs in sign."""
    sign = function(near) > 0
    for _ in range(HALVINGS):
        middle = math.sqrt(near * far)
        near, far = (middle, far) if (function(middle) > 0) == sign else (near, middle)
    return math.sqrt(near * far)


def roots(function: Callable[[float], float], grid: Iterable[float]) -> Iterator[float]:
    """The zeros that the sign of `function` betrays between neighbours of `grid`, in its order, lazily."""
    for (near, at_near), (far, at_far) in pairwise((x, function(x)) for x in grid):
        if (at_near > 0) != (at_far > 0):
            yield bisect(function, near, far)


def peaks(function: Callable[[float], float], grid: Iterable[float]) -> Iterator[float]:
    """The places of the local maxima that lie between neighbours of `grid`, in its order, lazily."""
    for (left, before), (middle, at), (right, after) in triplets((x, function(x)) for x in grid):
        if at > before and at >= after:
            yield summit(function, left, middle, right)


def summit(function: Callable[[float], float], left: float, middle: float, right: float) -> float:
    """The maximum of a function with one peak between two positive numbers, where `middle` is higher."""
    at = function(middle)
    for _ in range(HALVINGS):
        for end in (left, right):
            probe = math.sqrt(middle * end)
            value = function(probe)
            if value > at:
                left, right = (left, middle) if end == left else (middle, right)
                middle, at = probe, value
                break
            left, right = (probe, right) if end == left else (left, probe)
    return middle


def triplets(items: Iterable[tuple[float, float]]) -> Iterator[tuple[tuple[float, float], ...]]:
    """(a, b, c), (b, c, d), ... lazily."""
    for (a, b), (_, c) in pairwise(pairwise(items)):
        yield a, b, c
