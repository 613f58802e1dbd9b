"""The length map of a wide random network and its slope (Poole et al. 2016; Schoenholz et al. 2017).

Weights are N(0, sigma_w^2 / fan_in), biases N(0, sigma_b^2); q is the variance of the pre-activations.
Expectations are closed forms where they exist, else quadrature.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch.nn import Module

from vanishgrad.theory.gaussian import (
    Function,
    closed_form,
    derivative,
    expectation,
    gaussian_nodes,
    in_float64,
    peaks,
    roots,
    scales,
)

TINY = 1e-40  # a stand-in for q -> 0 that keeps both sides of a kink at 0
SMALLEST_LENGTH, LARGEST_LENGTH = 1e-12, 1e10  # lengths beyond which q_star answers 0 or infinity
MARGIN = 1e-12  # relative growth per layer that counts as growth
TOUCH = 1e-9  # the same where a length map comes nearest to the diagonal without crossing it
CACHED = 4096  # moments that are kept: layers at a fixed point ask for the same again and again
RATIO = 1.5  # between the lengths at which a fixed point is looked for
NEAR, FINE = 3.0, 1.02  # so far from a crossing lengths are that much closer: gelu touches next to one


def first_moment(f: Function, q: float) -> float:
    """E[f(x)] for x ~ N(0, q).

    >>> from torch import nn
    >>> first_moment(nn.Sigmoid(), q=1.0)
    0.5
    """
    closed = closed_form(f)
    return _values(f, q)[0] if closed is None else closed.mean(q)


def second_moment(f: Function, q: float) -> float:
    """E[f(x)^2] for x ~ N(0, q).

    >>> from torch import nn
    >>> second_moment(nn.ReLU(), q=3.0)
    1.5
    """
    closed = closed_form(f)
    return _values(f, q)[1] if closed is None else closed.square(q)


def slope_moment(f: Function, q: float, power: int = 2) -> float:
    """E[f'(x)^power] for x ~ N(0, q), the power 2 or 4; at q = 0 the mean over the two one-sided slopes.

    >>> from torch import nn
    >>> slope_moment(nn.ReLU(), q=3.0)
    0.5
    """
    closed = closed_form(f)
    return _slopes(f, q or TINY)[power // 2 - 1] if closed is None else closed.slope_power(q, power)


def _values(f: Function, q: float) -> tuple[float, float]:
    """E[f] and E[f^2]. Nothing is cached of a module: its parameters may have changed."""
    return _value_moments(in_float64(f), q) if isinstance(f, Module) else _cached_values(f, q)


def _slopes(f: Function, q: float) -> tuple[float, float]:
    """E[f'^2] and E[f'^4]."""
    return _slope_moments(f, q) if isinstance(f, Module) else _cached_slopes(f, q)


def _value_moments(f: Function, q: float) -> tuple[float, float]:
    z, w = gaussian_nodes()
    with torch.no_grad():
        values = f(math.sqrt(q) * z)
        return float(w @ values), float(w @ values**2)


def _slope_moments(f: Function, q: float) -> tuple[float, float]:
    z, w = gaussian_nodes()
    squares = derivative(f)(math.sqrt(q) * z) ** 2
    return float(w @ squares), float(w @ squares**2)


_cached_values = functools.lru_cache(maxsize=CACHED)(_value_moments)
_cached_slopes = functools.lru_cache(maxsize=CACHED)(_slope_moments)


def length_map(f: Function, q: float, sigma_w: float, sigma_b: float) -> float:
    """The next layer's q: sigma_w^2 E[f^2] + sigma_b^2 (Poole et al. 2016, eq. 3).

    >>> from torch import nn
    >>> length_map(nn.ReLU(), q=1.0, sigma_w=2.0, sigma_b=0.5)
    2.25
    """
    return sigma_w**2 * second_moment(f, q) + sigma_b**2


def chi_1(f: Function, sigma_w: float, q: float) -> float:
    """sigma_w^2 E[f'^2], the factor on a squared gradient per layer (Schoenholz et al. 2017, eq. 7).

    Gradients vanish towards the input where it is below 1, and explode where it is above.

    >>> from torch import nn
    >>> chi_1(nn.ReLU(), sigma_w=1.0, q=1.0)
    0.5
    """
    return sigma_w**2 * slope_moment(f, q)


def chi_q(f: Function, sigma_w: float, q: float) -> float:
    """dV/dq = sigma_w^2 E[x f f'] / q, the factor on a small change of the length q per layer.

    By partial integration sigma_w^2 E[f'^2 + f f''] (Schoenholz et al. 2017, eq. 6), also where f has a kink.
    """
    f, slope = in_float64(f), derivative(f)
    return sigma_w**2 * expectation(lambda x: x * f(x) * slope(x), q) / q


def q_star(f: Function, sigma_w: float, sigma_b: float, start: float = 1.0) -> float:
    """The fixed point of the length map that pre-activations of variance `start` approach with depth.

    0 when they fade, infinity when they grow without bound, `start` itself when it is fixed, as every q is
    for relu at (sqrt 2, 0). Fixed points at which the map only touches the diagonal, such as silu's and
    mish's critical ones, count where they are approached from their attracting side.

    >>> from torch import nn
    >>> round(q_star(nn.Tanh(), sigma_w=1.5, sigma_b=0.3), 3)
    0.961
    >>> q_star(nn.ReLU(), sigma_w=1.0, sigma_b=0.0)
    0.0
    """

    f = f if closed_form(f) else in_float64(f)

    @functools.cache
    def growth(q: float) -> float:
        return length_map(f, q, sigma_w, sigma_b) / q - 1

    def touches(q: float) -> bool:
        """Whether the map comes to the diagonal at q, and leaves it to both sides."""
        return abs(growth(q)) < TOUCH < min(abs(growth(q / RATIO)), abs(growth(q * RATIO)))

    def halts(crossing: float, sign: int) -> Iterator[float]:
        """Where the map touches the diagonal on the way from `start` to its crossing."""
        stop = min(max(crossing, SMALLEST_LENGTH), LARGEST_LENGTH)
        near = min(start, NEAR * stop) if sign < 0 else max(start, stop / NEAR)
        for grid in (scales(start * RATIO**-sign, stop, RATIO), scales(near * FINE**-sign, stop, FINE)):
            for q in peaks(lambda q: -sign * growth(q), grid):
                if touches(q) and sign * q >= sign * start:
                    yield q

    if abs(growth(start)) <= MARGIN:
        return start
    if growth(start) > 0:
        crossing = next(
            roots(lambda q: growth(q) + MARGIN, scales(start, max(start, LARGEST_LENGTH), RATIO)), math.inf
        )
        return min(halts(crossing, 1), default=crossing)
    lowest = min(start, sigma_b**2 or SMALLEST_LENGTH)  # V(q) >= sigma_b^2: no fixed point lies below
    crossing = next(roots(growth, scales(start, lowest, RATIO)), sigma_b**2)
    return max(halts(crossing, -1), default=crossing)


class Scatter(NamedTuple):
    """Of log10(||delta_1|| / ||delta_L||) over the weights, of one input.

    Arguments:
        shift: its mean less the logarithm that mean-field theory gives.
        deviation: its standard deviation.
    """

    shift: float
    deviation: float


def slope_ratio(f: Function, q: float) -> float:
    """E[f'^4] / E[f'^2]^2 for x ~ N(0, q).

    >>> from torch import nn
    >>> slope_ratio(nn.Identity(), q=1.0), slope_ratio(nn.ReLU(), q=1.0)
    (1.0, 2.0)
    """
    return slope_moment(f, q, 4) / slope_moment(f, q) ** 2


def layer_variance(ratio: float, width: int, orthogonal: bool = False) -> float:
    """The relative variance of ||f' W^T delta||^2 over W: (3 ratio - 1) / width for Gaussian weights.

    5 / width for relu (Hanin and Nica 2020, theorem 1), 2 / width for the identity. An orthogonal W^T delta
    is a random point on a sphere: 3 (ratio - 1) / (width + 2), none for the identity.

    Arguments:
        ratio: `slope_ratio` of the activation, with slopes that are independent of each other.
        width: units of the layer.
        orthogonal: whether the weights are.

    >>> layer_variance(2.0, width=100)
    0.05
    """
    return 3 * (ratio - 1) / (width + 2) if orthogonal else (3 * ratio - 1) / width


def scatter(variances: Iterable[float]) -> Scatter:
    """Shift and deviation of a gradient's logarithm over layers of these variances (`layer_variance`).

    Hanin and Nica 2020, theorem 1: the squared norm is log-normal with sum ln(1 + variance).
    """
    beta = math.fsum(math.log1p(variance) for variance in variances)
    return Scatter(-beta / 4 / math.log(10), math.sqrt(beta) / 2 / math.log(10))


def state_length(f: Function, sigma_h: float, drive: float) -> float:
    """The length q of a state's pre-activations after many steps: q = sigma_h^2 E[f^2] + drive.

    Arguments:
        f: the activation.
        sigma_h: of the recurrent weights, N(0, sigma_h^2 / width).
        drive: what input and biases add at each step, sigma_x^2 E[x^2] + sigma_b^2.
    """
    return q_star(f, sigma_h, drive**0.5, start=drive or 1.0)


def state_lengths(f: Function, sigma_h: float, drive: float, steps: int) -> list[float]:
    """The length at each of the first `steps` times, from h_0 = 0, `(steps,)`."""
    lengths = [drive]
    for _ in range(steps - 1):
        lengths.append(length_map(f, lengths[-1], sigma_h, drive**0.5))
    return lengths[:steps]


def time_factor(f: Function, sigma_h: float, drive: float) -> float:
    """The factor on a state's squared gradient per time step, sigma_h^2 E[f'^2]: chi_1 of a deep network."""
    return chi_1(f, sigma_h, state_length(f, sigma_h, drive))
