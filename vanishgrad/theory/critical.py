"""Where a deep network neither fades nor explodes: the critical (sigma_w, sigma_b) of an activation."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vanishgrad.errors import SettingError
from vanishgrad.theory.gaussian import (
    Function,
    derivative,
    expectation,
    gaussian_nodes,
    in_float64,
    roots,
    scales,
)
from vanishgrad.theory.mean_field import second_moment, slope_moment

SMALL_LENGTH = 1e-6  # at which E[f^2] / q is compared with its limit
ROUNDING = 1e-10  # of E[f^2] / q, relative
SHORTEST, LONGEST = 1e-6, 1e6  # lengths q between which a critical one is looked for


class CriticalPoint(NamedTuple):
    """Weights N(0, sigma_w^2 / fan_in) and biases N(0, sigma_b^2) at which chi_1 is 1."""

    sigma_w: float
    sigma_b: float


class SaturatedCriticalPoint(UserWarning):
    """The only critical point lies where most units are saturated."""


def critical_point(f: Function) -> CriticalPoint:
    """The critical point of `f`, solved numerically.

    The first that exists of

    1. q -> 0 with sigma_b = 0, when that fixed point does not repel: tanh, elu, and the relu family, for
       which every q is as good;
    2. the half-stable q > 0 at which perturbations along and across the signal both keep their size: gelu;
    3. a fixed point q > 0 with chi_1 = 1 and sigma_b = 0: sigmoid, with a `SaturatedCriticalPoint` warning.

    Raises `SettingError` when there is none, as for softplus. The first two are the universality classes of
    Roberts, Yaida and Hanin 2022, section 5.3; the third, where chi_1 is 1 but chi_parallel is not, they do
    not count as critical.

    >>> from torch import nn
    >>> round(critical_point(nn.SELU()).sigma_w, 5)
    0.69049
    """
    point = _at_zero(f) or _half_stable(f) or _without_bias(f)
    if point is None:
        raise SettingError(
            f"init=critical: {_name(f)} has no critical point: no sigma_w and sigma_b keep the size of both "
            "its signals and its gradients; choose another act (relu, tanh, gelu) or init (he, xavier, lsuv)"
        )
    return point


def _at_zero(f: Function) -> CriticalPoint | None:
    """sigma_w^2 = 1 / E[f'^2] at q -> 0, unless f(0) is not 0 or E[f^2] / q grows from its limit on."""
    limit = slope_moment(f, 0)
    attracts = second_moment(f, SMALL_LENGTH) / SMALL_LENGTH <= limit * (1 + ROUNDING)
    return CriticalPoint(1 / math.sqrt(limit), 0.0) if limit > 0 and attracts else None


def _half_stable(f: Function) -> CriticalPoint | None:
    """chi_parallel = chi_perp = 1, that is dE[f^2]/dq = E[f'^2] (Roberts et al. 2022, section 5.3)."""
    f, slope = in_float64(f), derivative(f)

    def chi_difference(q: float) -> float:
        # dE[f^2]/dq = E[x f f'] / q: no second derivative, so a kink of f at 0 is counted too
        return expectation(lambda x: (x / q * f(x) - slope(x)) * slope(x), q)

    points = (_critical_at(f, q) for q in roots(chi_difference, scales(SHORTEST, LONGEST)))
    return next((point for point in points if point is not None), None)


def _critical_at(f: Function, q: float) -> CriticalPoint | None:
    """The point with chi_1 = 1 at the length q and q fixed, if its sigma_b is real."""
    slopes = slope_moment(f, q)
    variance_b = q - second_moment(f, q) / slopes
    return CriticalPoint(1 / math.sqrt(slopes), math.sqrt(variance_b)) if variance_b >= 0 else None


def _without_bias(f: Function) -> CriticalPoint | None:
    """chi_1 = 1 at a fixed point with sigma_b = 0: q E[f'^2] = E[f^2]. Warns of saturation."""
    lengths = roots(lambda q: q * slope_moment(f, q) - second_moment(f, q), scales(SHORTEST, LONGEST))
    q = next(lengths, None)
    if q is None:
        return None
    point = CriticalPoint(1 / math.sqrt(slope_moment(f, q)), 0.0)
    warnings.warn(
        f"init=critical: {_name(f)} keeps the size of its gradients only at sigma_w={point.sigma_w:.4g}, "
        f"with {_saturated_share(f, q):.0%} of its units saturated; expect slow training",
        SaturatedCriticalPoint,
        stacklevel=3,
    )
    return point


def _saturated_share(f: Function, q: float) -> float:
    """The share of units whose |slope| is under 5 % of the largest, for x ~ N(0, q)."""
    slope = derivative(f)
    steepest = slope(math.sqrt(q) * gaussian_nodes()[0]).abs().max()
    return expectation(lambda x: (slope(x).abs() < 0.05 * steepest).double(), q)


def _name(f: Function) -> str:
    return getattr(f, "__name__", None) or type(f).__name__


SHORTEST_DRAWN, LONGEST_DRAWN, RATIO = 1e-6, 1e6, 1.1
Array = NDArray[np.float64]


def critical_line(f: Function, lengths: Iterable[float]) -> list[CriticalPoint]:
    """The points (sigma_w, sigma_b) with chi_1 = 1 whose fixed points are `lengths`, where sigma_b is real.

    sigma_w^2 = 1 / E[f'^2] and sigma_b^2 = q - sigma_w^2 E[f^2] (Schoenholz et al. 2017, eq. 3 and 7): no
    equation is left to solve.

    >>> from torch import nn
    >>> [(round(w, 2), round(b, 2)) for w, b in critical_line(nn.Tanh(), [0.1, 1.0])]
    [(1.09, 0.03), (1.47, 0.39)]
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
    lengths = np.array(scales(SHORTEST_DRAWN, LONGEST_DRAWN, RATIO))
    squares = np.array([second_moment(f, q) for q in lengths])
    slopes = np.array([slope_moment(f, q) for q in lengths])
    resting = np.empty((len(sigma_b), len(sigma_w)))
    for row, b in enumerate(sigma_b):
        growth = sigma_w[:, None] ** 2 * squares + b**2 - lengths  # (sigma_w, q)
        resting[row] = [np.interp(_rest(line, lengths, start), np.log(lengths), slopes) for line in growth]
    return resting * sigma_w**2


def normalized_chi_grid(f: Function, sigma_w: Array, sigma_b: Array) -> Array:
    """chi_1 with layer or RMS norm before the activation, where q = 1, `(len(sigma_b), len(sigma_w))`."""
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
