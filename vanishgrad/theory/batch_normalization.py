"""Batch normalization: a unit's values over the batch, and the growth of gradients (Yang et al. 2019).

Over a batch of B inputs that are alike to each other, a unit's pre-activations have the variance v = q - p, p
their covariance for two inputs, and normalized they are a random point on a sphere of B - 1 dimensions.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from vanishgrad.theory.passage import Pass, Passage, Signal
from vanishgrad.theory.quadrature import CUTOFF, Function, derivative, gaussian_nodes, graded, in_float64
from vanishgrad.theory.sphere import centred_product, sphere_expectation

ALMOST = 1e-4  # of a scale, less than 1 by so much
SMALLEST_BATCH = 4  # of three the mean of 1 / variance is infinite


def batch_norm_first(f: Function, batch: int, epsilon: float, noise: float = 1) -> Pass:
    """Batch norm before the activation, over batches of at least 4.

    Its backward pass takes the mean and the component along x away from a unit's gradients over the batch,
    which sum to 0 when they come from a batch norm above. For f = identity the squared gradient grows by
    (B - 2) / (B - 3) per layer, for relu and large batches by pi / (pi - 1) (Yang et al. 2019, section 4).
    """

    @functools.cache
    def at(scale: float) -> tuple[float, ...]:
        return _normalized_moments(f, batch, scale)

    def passage(x: Signal) -> Passage:
        v = x.varying + epsilon
        square, shared, mean, kept, pairs = _between(at, math.sqrt(max(x.varying, 0.0) / v))
        gain = (noise * kept + pairs) / ((batch - 3) * v)
        return Passage(Signal(noise * square, shared), mean, gain)

    return passage


def _between(at: Callable[[float], tuple[float, ...]], scale: float) -> tuple[float, ...]:
    """at(scale), interpolated where epsilon is all that keeps the scale from 1: to within (1 - scale)^2."""
    if scale < 1 - ALMOST:
        return at(scale)
    share = (1 - scale) / ALMOST
    return tuple((1 - share) * one + share * less for one, less in zip(at(1.0), at(1 - ALMOST), strict=True))


def _normalized_moments(f: Function, batch: int, scale: float) -> tuple[float, ...]:
    """Of y = f(scale z), z normalized: E[y^2], E[y_a y_b], E[y], and the two parts of the gain."""
    plain, slope, over = in_float64(f), derivative(f), batch - 1
    square = sphere_expectation(lambda z: plain(scale * z) ** 2, over)
    shared = centred_product(lambda z: plain(scale * z), batch)
    mean = sphere_expectation(lambda z: plain(scale * z), over)
    kept = sphere_expectation(lambda z: slope(scale * z) ** 2 * (over - z**2), over)
    pairs = centred_product(lambda z: slope(scale * z), batch)
    pairs += centred_product(lambda z: z * slope(scale * z), batch)
    return square, shared, mean, kept, pairs


def batch_norm_last(f: Function, batch: int, epsilon: float, noise: float = 1) -> Pass:
    """Batch norm after the activation, to first order in 1 / batch.

    A unit's pre-activations are m + sqrt(v) z over the batch, with m ~ N(0, p) what all inputs share; the
    variance that is divided by depends on m.
    """
    plain, slope = in_float64(f), derivative(f)

    def passage(x: Signal) -> Passage:
        shared, weight = _shared(x)
        v = min(x.varying, x.square)  # beyond it where p is -q / (batch - 1)
        square, gain = 0.0, 0.0
        for m, w in zip(shared.tolist(), weight.tolist(), strict=True):
            values, density = _around(m, v)
            outputs = plain(values)
            variance = float(density @ outputs**2 - (density @ outputs) ** 2)
            square += w * variance / (variance + epsilon)
            gain += w * float(density @ slope(values) ** 2) / (variance + epsilon)
        gain *= 1 + small_batch(f, v) / batch
        return Passage(Signal(noise * square, -square / (batch - 1)), 0.0, noise * gain)

    return passage


def small_batch(f: Function, v: float) -> float:
    """The term in 1 / batch of the gain of a batch norm after f, relative to its limit: r - e + k - 2 w.

    k is the kurtosis of f, from E[1 / s^2]; e = E[f']^2 v / Var f, from values that repel each other; w =
    E[f'^2 y^2] / E[f'^2] with y the normalized f, once from its part in s^2 and once from the component along
    y that the backward pass takes away; r = E[f']^2 / E[f'^2], from the gradients' sum. It is 1 for f =
    identity, as in (B - 2) / (B - 3).
    """
    z, density = gaussian_nodes()
    x = math.sqrt(v) * z
    outputs, slopes = in_float64(f)(x), derivative(f)(x)
    with torch.no_grad():
        mean, steep, steepness = (float(density @ part) for part in (outputs, slopes, slopes**2))
        squares = (outputs - mean) ** 2
        variance = float(density @ squares)
        if variance <= 0 or steepness <= 0:
            return 0.0
        kurtosis = float(density @ squares**2) / variance**2
        weighted = float(density @ (slopes**2 * squares)) / (variance * steepness)
    return steep**2 / steepness - steep**2 * v / variance + kurtosis - 2 * weighted


def _shared(x: Signal) -> tuple[Tensor, Tensor]:
    """Values of m ~ N(0, p) and their weights; 0 alone where two inputs share nothing."""
    if x.shared <= 0:
        return torch.zeros(1), torch.ones(1)
    z, width = graded(CUTOFF, 6, 10)
    w = width * torch.exp(-(z**2) / 2)
    return math.sqrt(x.shared) * torch.cat([-z, z]), torch.cat([w, w]) / (2 * w.sum())


def _around(m: float, v: float) -> tuple[Tensor, Tensor]:
    """Values and weights of N(m, v), with no panel across 0, where f may have a kink."""
    if m == 0:
        z, w = gaussian_nodes()
        return math.sqrt(v) * z, w
    reach = abs(m) + CUTOFF * math.sqrt(v)
    values, width = graded(reach, 12, 40)
    values, width = torch.cat([-values, values]), torch.cat([width, width])
    density = width * torch.exp(-((values - m) ** 2) / (2 * v))
    return values, density / density.sum()
