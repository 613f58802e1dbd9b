"""chi_1 over the plane of (sigma_w, sigma_b), and the line on which it is 1 (Poole et al. 2016, fig. 1)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from vanishgrad.theory.critical import CriticalPoint
from vanishgrad.theory.mean_field import second_moment, slope_moment
from vanishgrad.theory.quadrature import Function
from vanishgrad.theory.roots import scales

SHORTEST, LONGEST, RATIO = 1e-6, 1e6, 1.1
Array = NDArray[np.float64]


def critical_line(f: Function, lengths: Iterable[float]) -> list[CriticalPoint]:
    """The points (sigma_w, sigma_b) with chi_1 = 1 whose fixed points are `lengths`, where sigma_b is real.

    sigma_w^2 = 1 / E[f'^2] and sigma_b^2 = q - sigma_w^2 E[f^2]: no equation is left to solve.
    """
    points = []
    for q in lengths:
        variance_w = 1 / slope_moment(f, q)
        variance_b = q - variance_w * second_moment(f, q)
        if variance_b >= 0:
            points.append(CriticalPoint(math.sqrt(variance_w), math.sqrt(variance_b)))
    return points


def chi_grid(f: Function, sigma_w: Array, sigma_b: Array, start: float = 1.0) -> Array:
    """chi_1 at the fixed point that lengths from `start` approach, `(len(sigma_b), len(sigma_w))`.

    E[f^2] and E[f'^2] are tabled over q, and the first length beyond which the length map turns back is
    interpolated: for a figure, to about 1e-3.
    """
    lengths = np.array(scales(SHORTEST, LONGEST, RATIO))
    squares = np.array([second_moment(f, q) for q in lengths])
    slopes = np.array([slope_moment(f, q) for q in lengths])
    found = np.empty((len(sigma_b), len(sigma_w)))
    for row, b in enumerate(sigma_b):
        growth = sigma_w[:, None] ** 2 * squares + b**2 - lengths  # (sigma_w, q)
        found[row] = [np.interp(_rest(line, lengths, start), np.log(lengths), slopes) for line in growth]
    return found * sigma_w**2


def normalized_chi_grid(f: Function, sigma_w: Array, sigma_b: Array) -> Array:
    """chi_1 with layer or RMS norm before the activation, where q = 1 everywhere; `(sigma_b, sigma_w)`."""
    w, b = sigma_w[None, :] ** 2, sigma_b[:, None] ** 2
    return w * slope_moment(f, 1.0) / (w * second_moment(f, 1.0) + b)


def _rest(growth: Array, lengths: Array, start: float) -> float:
    """log q where the growth V(q) - q first changes sign, upwards or downwards from `start`."""
    at = int(np.searchsorted(lengths, start))
    rising = growth[at] > 0
    order = np.arange(at, len(lengths)) if rising else np.arange(at, -1, -1)
    turned = np.flatnonzero((growth[order] > 0) != rising)
    if not len(turned):
        return float(np.log(lengths[order[-1]]))
    near, far = order[turned[0] - 1], order[turned[0]]
    a, b = growth[near] / lengths[near], growth[far] / lengths[far]
    share = a / (a - b)
    return float((1 - share) * np.log(lengths[near]) + share * np.log(lengths[far]))
