"""What a layer's units do to the signal on its way up and to the gradient on its way down."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from vanishgrad.theory.gaussian import Function
from vanishgrad.theory.mean_field import first_moment, second_moment, slope_moment


class Signal(NamedTuple):
    """Second moments of units over a wide layer.

    Arguments:
        square: E[x_a^2], of one input; the length q where x is a pre-activation.
        shared: E[x_a x_b], of two inputs; NaN where nothing depends on it.
    """

    square: float
    shared: float = float("nan")

    @property
    def varying(self) -> float:
        """The variance of a unit over many inputs."""
        return self.square - self.shared


class Passage(NamedTuple):
    """From a pre-activation x to what the next weights read, y: normalization, activation and dropout.

    Arguments:
        signal: the moments of y.
        mean: E[y].
        gain: the squared gradient at x per squared gradient at y, when that is independent of x.
    """

    signal: Signal
    mean: float
    gain: float


PassageMap = Callable[[Signal], Passage]


def plain(f: Function, noise: float = 1) -> PassageMap:
    """The activation alone.

    Arguments:
        f: the activation.
        noise: E[m^2] of the noise that multiplies each unit, 1 / (1 - rate) for dropout.
    """

    def passage(x: Signal) -> Passage:
        signal = Signal(noise * second_moment(f, x.square))
        return Passage(signal, first_moment(f, x.square), noise * slope_moment(f, x.square))

    return passage


SAME = 1e-14  # relative change of a length below which the layer is taken to pass as the last one did
LARGEST = 1e280  # of a length, whose square root still has room for a few standard deviations

Variances = tuple[float, float]
Weights = Callable[[float], Variances]
"""E[y^2], which they read -> (sigma_w^2, sigma_b^2); a constant but where an initialization looks at it."""


class LayerMoments(NamedTuple):
    """One layer of a network.

    Arguments:
        variance_w: sigma_w^2 of its weights, fan_in times their variance.
        z: the moments of its pre-activations.
        passage: of what comes between them and the next weights.
    """

    variance_w: float
    z: Signal
    passage: Passage


def through(weights: Weights, y: Signal) -> tuple[float, Signal]:
    """(sigma_w^2, the moments of z = W y + b)."""
    variance_w, variance_b = weights(y.square)
    square = min(variance_w * y.square + variance_b, LARGEST)
    return variance_w, Signal(square, variance_w * y.shared + variance_b)


def stack(y: Signal, weights: Sequence[Weights], passing: PassageMap) -> list[LayerMoments]:
    """The layers of a plain network whose input has the moments `y`.

    >>> from torch import nn
    >>> he = lambda square: (2.0, 0.0)  # sigma_w^2 and sigma_b^2
    >>> layers = stack(Signal(1.0), [he] * 3, plain(nn.ReLU()))
    >>> [layer.z.square for layer in layers], squared_gradients(layers)
    ([2.0, 2.0, 2.0], [0.0, 0.0, 0.0])
    """
    layers: list[LayerMoments] = []
    for each in weights:
        variance_w, z = through(each, y)
        passage = layers[-1].passage if layers and same_moments(z, layers[-1].z) else passing(z)
        layers.append(LayerMoments(variance_w, z, passage))
        y = passage.signal
    return layers


def same_moments(x: Signal, z: Signal) -> bool:
    """Whether the two signals have the same moments, to rounding."""
    shared = x.shared == z.shared or math.isnan(x.shared) or abs(x.shared - z.shared) <= SAME * z.square
    return abs(x.square - z.square) <= SAME * z.square and shared


def squared_gradients(layers: Sequence[LayerMoments]) -> list[float]:
    """log of E||dLoss/dz||^2 of every layer, relative to the last one's (Schoenholz et al. 2017, eq. 7).

    ||delta_l||^2 = gain_l sigma_w^2_(l+1) ||delta_(l+1)||^2 on average over the weights.
    """
    logs = [0.0]
    for below, above in zip(layers[-2::-1], layers[:0:-1], strict=True):
        logs.append(logs[-1] + log(below.passage.gain * above.variance_w))
    return logs[::-1] if layers else []


def shared_gradients(stacks: Sequence[Sequence[LayerMoments]]) -> list[float]:
    """The same of a batch whose inputs differ in length, `(groups, depth)` of them, all of one network.

    The output layer sends the same squared gradient to every input; below, each goes its own way.
    """
    logs = []
    for layers in stacks:
        top = log(layers[-1].passage.gain)
        logs.append([top + each for each in squared_gradients(layers)])
    return [log_sum(*each) - math.log(len(stacks)) for each in zip(*logs, strict=True)]


def log(x: float) -> float:
    """The natural logarithm, minus infinity of 0."""
    return math.log(x) if x > 0 else -math.inf


def log_sum(*logs: float) -> float:
    """log(exp(a) + exp(b) + ...), without overflow.

    >>> log_sum(1000.0, 1000.0) == 1000 + math.log(2)
    True
    """
    largest = max(logs)
    if math.isinf(largest):
        return largest
    return largest + math.log(sum(math.exp(each - largest) for each in logs))
