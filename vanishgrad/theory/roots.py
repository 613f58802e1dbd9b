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
