"""Normalization of each input's units: layer, RMS and group norm in wide layers.

Pre-activations x of one input are N(0, q) over the units. Before the activation the normalization divides by
sqrt(q), and every length is brought to 1; after it by the deviation of f(x). The terms by which it takes a
gradient's components along the mean and along x away are of the order 1 / units: kept within small groups,
left out for whole layers.
"""

from __future__ import annotations

import math

from vanishgrad.theory.mean_field import first_moment, second_moment, slope_moment
from vanishgrad.theory.passage import Pass, Passage, Signal
from vanishgrad.theory.quadrature import Function, derivative, in_float64
from vanishgrad.theory.sphere import sphere_expectation

FEWEST = 4  # values in a group; of three the mean of 1 / variance is infinite


def norm_first(f: Function, epsilon: float, noise: float = 1) -> Pass:
    """y = f(x / sqrt(q + epsilon)): layer and RMS norm agree, since the mean over the units is 0.

    Without biases the squared gradient grows by E[f'^2] / E[f^2] at q = 1 per layer, whatever the weights.
    """

    def passage(x: Signal) -> Passage:
        q = x.square + epsilon
        length = x.square / q
        signal = Signal(noise * second_moment(f, length))
        return Passage(signal, first_moment(f, length), noise * slope_moment(f, length) / q)

    return passage


def norm_last(f: Function, epsilon: float, centred: bool, noise: float = 1) -> Pass:
    """y = (f(x) - m) / s: layer norm where `centred` (m the mean, s the deviation), else RMS norm (m = 0)."""

    def passage(x: Signal) -> Passage:
        m = first_moment(f, x.square)
        square = second_moment(f, x.square) - (m**2 if centred else 0.0)
        scale = square + epsilon
        mean = 0.0 if centred else m / math.sqrt(scale)
        return Passage(Signal(noise * square / scale), mean, noise * slope_moment(f, x.square) / scale)

    return passage


def group_norm_first(f: Function, size: int, epsilon: float, noise: float = 1) -> Pass:
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
