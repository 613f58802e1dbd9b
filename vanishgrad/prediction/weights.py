"""The variances that an initialization gives to a layer's weights and biases."""

from __future__ import annotations

from vanishgrad.choices.activation import Activation, negative_slope
from vanishgrad.choices.initialization import (
    LSUV,
    Critical,
    Default,
    Gaussian,
    He,
    Initialization,
    LeCun,
    Normal,
    Orthogonal,
    Xavier,
    Zeros,
    edge_of_chaos,
)
from vanishgrad.theory.stack import Weights

Variances = tuple[float, float]


def variances(init: Initialization, act: Activation, fan_in: int, fan_out: int) -> Variances | None:
    """(sigma_w^2, sigma_b^2): fan_in times the weights' variance, and the biases'. None where data decide."""
    match init:
        case Default():
            return 1 / 3, 1 / (3 * fan_in)
        case Xavier():
            return 2 * fan_in / (fan_in + fan_out), 0.0
        case He():
            return 2 / (1 + negative_slope(act) ** 2), 0.0
        case LeCun():
            return 1.0, 0.0
        case Orthogonal(gain=gain):
            return gain**2 * _orthonormal(fan_in, fan_out), 0.0
        case Gaussian(sigma_w=sigma_w, sigma_b=sigma_b):
            return sigma_w**2, sigma_b**2
        case Normal(std=std):
            return std**2 * fan_in, 0.0
        case Zeros():
            return 0.0, 0.0
        case Critical():
            sigma_w, sigma_b = edge_of_chaos(act)
            return sigma_w**2, sigma_b**2
        case _:
            return None


def weights_of(init: Initialization, act: Activation, fan_in: int, fan_out: int) -> Weights | None:
    """What a layer's weights do to the second moment that they read; None for an unknown initialization."""
    found = variances(init, act, fan_in, fan_out)
    if found is not None:
        return lambda square: found
    if isinstance(init, LSUV):
        return _unit_variance(_orthonormal(fan_in, fan_out), init.tolerance)
    return None


def _orthonormal(fan_in: int, fan_out: int) -> float:
    """fan_in times the variance of a matrix whose rows or columns, the shorter, are orthonormal."""
    return fan_in / max(fan_in, fan_out)


def _unit_variance(start: float, tolerance: float) -> Weights:
    """Rescaled to outputs of variance 1, where they are not near enough already (Mishkin and Matas 2016)."""

    def weights(square: float) -> Variances:
        q = start * square
        near = abs(q - 1) < tolerance or q <= 0
        return start if near else start / q, 0.0

    return weights
