"""What a layer's units do to the signal on its way up and to the gradient on its way down."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from vanishgrad.theory.mean_field import first_moment, second_moment, slope_moment
from vanishgrad.theory.quadrature import Function


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


Pass = Callable[[Signal], Passage]


def plain(f: Function, noise: float = 1) -> Pass:
    """The activation alone.

    Arguments:
        f: the activation.
        noise: E[m^2] of the noise that multiplies each unit, 1 / (1 - rate) for dropout.
    """

    def passage(x: Signal) -> Passage:
        signal = Signal(noise * second_moment(f, x.square))
        return Passage(signal, first_moment(f, x.square), noise * slope_moment(f, x.square))

    return passage
