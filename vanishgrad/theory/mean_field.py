"""The length map of a wide random network and its slope (Poole et al. 2016; Schoenholz et al. 2017).

Weights are N(0, sigma_w^2 / fan_in), biases N(0, sigma_b^2); q is the variance of the pre-activations.
"""

from __future__ import annotations

import math

from vanishgrad.theory.quadrature import Function, derivative, expectation, in_float64
from vanishgrad.theory.roots import roots, scales

TINY = 1e-40  # a stand-in for q -> 0 that keeps both sides of a kink at 0
SHORTEST, LONGEST = 1e-12, 1e10  # lengths beyond which q_star answers 0 or infinity
MARGIN = 1e-12  # relative growth per layer that is told from none


def second_moment(f: Function, q: float) -> float:
    """E[f(x)^2] for x ~ N(0, q)."""
    f = in_float64(f)
    return expectation(lambda x: f(x) ** 2, q)


def slope_moment(f: Function, q: float) -> float:
    """E[f'(x)^2] for x ~ N(0, q); at q = 0 the limit, the mean of the two squared one-sided slopes."""
    slope = derivative(f)
    return expectation(lambda x: slope(x) ** 2, q or TINY)


def length_map(f: Function, q: float, sigma_w: float, sigma_b: float) -> float:
    """The next layer's q: sigma_w^2 E[f^2] + sigma_b^2 (Poole et al. 2016, eq. 3)."""
    return sigma_w**2 * second_moment(f, q) + sigma_b**2


def chi_1(f: Function, sigma_w: float, q: float) -> float:
    """sigma_w^2 E[f'^2], the factor on a squared gradient per layer (Schoenholz et al. 2017)."""
    return sigma_w**2 * slope_moment(f, q)


def q_star(f: Function, sigma_w: float, sigma_b: float, start: float = 1.0) -> float:
    """The fixed point of the length map that pre-activations of variance `start` approach with depth.

    0 when they fade, infinity when they grow without bound, `start` itself when it is fixed, as every q is
    for relu at (sqrt 2, 0). A fixed point at which the map only touches the diagonal without crossing it, as
    silu's and mish's critical ones, is found from a `start` on it but passed over from elsewhere.
    """

    def growth(q: float) -> float:
        return length_map(f, q, sigma_w, sigma_b) / q - 1

    first = growth(start)
    if abs(first) <= MARGIN:
        return start
    if first > 0:
        return next(roots(lambda q: growth(q) + MARGIN, scales(start, max(start, LONGEST))), math.inf)
    # V(q) >= sigma_b^2: no fixed point lies below
    return next(roots(growth, scales(start, min(start, sigma_b**2 or SHORTEST))), sigma_b**2)
