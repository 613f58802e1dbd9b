"""How the correlation of two inputs changes from layer to layer (Poole et al. 2016, section 2.2)."""

from __future__ import annotations

import math

from vanishgrad.theory.closed_forms import closed_form
from vanishgrad.theory.mean_field import second_moment
from vanishgrad.theory.pairs import product_expectation
from vanishgrad.theory.quadrature import Function, derivative

MOST_STEPS = 60  # Newton's, of which convexity leaves about ten
ROUNDING = 1e-13


def product_moment(f: Function, q: float, c: float) -> float:
    """E[f(x_a) f(x_b)] for x_a, x_b ~ N(0, q) of correlation c."""
    closed = closed_form(f)
    return product_expectation(f, q, c) if closed is None else closed.product(q, c)


def slope_product_moment(f: Function, q: float, c: float) -> float:
    """E[f'(x_a) f'(x_b)] for x_a, x_b ~ N(0, q) of correlation c."""
    closed = closed_form(f)
    return product_expectation(derivative(f), q, c) if closed is None else closed.slope_product(q, c)


def correlation_map(
    f: Function, c: float, q: float, sigma_w: float, sigma_b: float, noise: float = 1
) -> float:
    """The next layer's correlation of two inputs of length q (Poole et al. 2016, eq. 5).

    Arguments:
        f: the activation.
        c: this layer's correlation.
        q: the length of both, of which the next layer's is the image.
        sigma_w: of the weights.
        sigma_b: of the biases.
        noise: E[m^2] of multiplicative noise m on each unit, of mean 1 and independent for the two inputs:
            1 / (1 - rate) for dropout (Schoenholz et al. 2017, eq. 12).
    """
    length = sigma_w**2 * noise * second_moment(f, q) + sigma_b**2
    return (sigma_w**2 * product_moment(f, q, c) + sigma_b**2) / length


def chi_c(f: Function, c: float, q: float, sigma_w: float, sigma_b: float, noise: float = 1) -> float:
    """dC/dc, the factor on a small difference from the correlation c; chi_1 at c = 1 and a fixed q."""
    length = sigma_w**2 * noise * second_moment(f, q) + sigma_b**2
    return sigma_w**2 * q * slope_product_moment(f, q, c) / length


def c_star(f: Function, q: float, sigma_w: float, sigma_b: float, noise: float = 1) -> float:
    """The correlation that any two inputs approach with depth: below 1 in the chaotic phase, and with noise.

    C is convex on [0, 1], a power series in c with coefficients >= 0, so that Newton's method rises from 0 to
    its smallest fixed point.
    """
    if noise == 1 and chi_c(f, 1.0, q, sigma_w, sigma_b) <= 1 + ROUNDING:
        return 1.0
    c = 0.0
    for _ in range(MOST_STEPS):
        excess = correlation_map(f, c, q, sigma_w, sigma_b, noise) - c
        step = excess / (1 - chi_c(f, c, q, sigma_w, sigma_b, noise))
        if not step > ROUNDING:
            break
        c = min(1.0, c + step)
    return c if math.isfinite(c) else 1.0
