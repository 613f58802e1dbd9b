"""Normalization of each input's units: layer, RMS and group norm in wide layers.

Pre-activations x of one input are N(0, q) over the units. Before the activation the normalization divides by
sqrt(q), and every length is brought to 1; after it by the deviation of f(x). The terms by which it takes a
gradient's components along the mean and along x away are of the order 1 / units: kept within small groups,
left out for whole layers.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from vanishgrad.theory.correlation import pair_expectation, sphere_radii
from vanishgrad.theory.gaussian import (
    CUTOFF,
    NODES,
    PANELS,
    Function,
    derivative,
    gaussian_nodes,
    graded,
    in_float64,
)
from vanishgrad.theory.mean_field import first_moment, second_moment, slope_moment
from vanishgrad.theory.stack import Passage, PassageMap, Signal

FEWEST = 4  # values in a group; of three the mean of 1 / variance is infinite


def norm_first(f: Function, epsilon: float, noise: float = 1) -> PassageMap:
    """y = f(x / sqrt(q + epsilon)): layer and RMS norm agree, since the mean over the units is 0.

    Without biases the squared gradient grows by E[f'^2] / E[f^2] at q = 1 per layer, whatever the weights.
    """

    def passage(x: Signal) -> Passage:
        q = x.square + epsilon
        length = x.square / q
        signal = Signal(noise * second_moment(f, length))
        return Passage(signal, first_moment(f, length), noise * slope_moment(f, length) / q)

    return passage


def norm_last(f: Function, epsilon: float, centred: bool, noise: float = 1) -> PassageMap:
    """y = (f(x) - m) / s: layer norm where `centred` (m the mean, s the deviation), else RMS norm (m = 0)."""

    def passage(x: Signal) -> Passage:
        m = first_moment(f, x.square)
        square = second_moment(f, x.square) - (m**2 if centred else 0.0)
        scale = square + epsilon
        mean = 0.0 if centred else m / math.sqrt(scale)
        return Passage(Signal(noise * square / scale), mean, noise * slope_moment(f, x.square) / scale)

    return passage


def group_norm_first(f: Function, size: int, epsilon: float, noise: float = 1) -> PassageMap:
    """Layer norm before the activation, over groups of `size` units, at least 4.

    The normalized values of a group are uniform on a sphere of radius sqrt(size) in size - 1 dimensions,
    independent of the variance s^2 that was divided by, whose E[1 / s^2] is size / ((size - 3) q).
    """
    plain, slope = in_float64(f), derivative(f)

    def passage(x: Signal) -> Passage:
        q = x.square + epsilon
        scale, over = math.sqrt(x.square / q), size - 1
        square = sphere_expectation(lambda z: plain(scale * z) ** 2, over)
        kept = sphere_expectation(lambda z: slope(scale * z) ** 2 * (1 - (1 + z**2) / size), over)
        mean = sphere_expectation(lambda z: plain(scale * z), over)
        return Passage(Signal(noise * square), mean, noise * kept * size / (size - 3) / q)

    return passage


@functools.cache
def sphere_nodes(dimensions: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights of one coordinate on the sphere of radius sqrt(dimensions), whose variance is 1.

    x = sqrt(D) sin(t) with density cos(t)^(D-2), for D > 1. For D to infinity the Gaussian's.
    """
    t, width = graded(math.pi / 2, PANELS, NODES)
    x, w = math.sqrt(dimensions) * t.sin(), width * t.cos() ** (dimensions - 2)
    return torch.cat([-x, x]), torch.cat([w, w]) / (2 * w.sum())


def sphere_expectation(f: Function, dimensions: int) -> float:
    """E[f(x)] for a coordinate x of the sphere of radius sqrt(dimensions)."""
    x, w = sphere_nodes(dimensions)
    with torch.no_grad():
        return float(w @ in_float64(f)(x))


def centred_product(f: Function, values: int) -> float:
    """E[f(x_a) f(x_b)] for two of so many values whose mean is 0 and whose mean square is 1, else random.

    They are a point on a sphere of one dimension less, and their correlation is -1 / (values - 1).
    """
    f = in_float64(f)
    return pair_expectation(lambda a, b: f(a) * f(b), -1 / (values - 1), sphere_radii(values - 1))


ALMOST = 1e-4  # of a scale, less than 1 by so much
SMALLEST_BATCH = 4  # of three the mean of 1 / variance is infinite


def batch_norm_first(f: Function, batch: int, epsilon: float, noise: float = 1) -> PassageMap:
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


def batch_norm_last(f: Function, batch: int, epsilon: float, noise: float = 1) -> PassageMap:
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
