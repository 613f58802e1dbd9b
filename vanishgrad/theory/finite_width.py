"""How gradients of narrow networks scatter over the random weights (Hanin 2018; Hanin and Nica 2020).

The logarithm of ||delta_1||^2 / ||delta_L||^2 for one input is about normal, of variance beta, the sum over
the layers of a term of the order 1 / width, and mean log(E) - beta / 2: typical gradients fall short of the
mean over the weights, and the more so the deeper and narrower the network is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from vanishgrad.theory.mean_field import slope_moment
from vanishgrad.theory.quadrature import Function


class Scatter(NamedTuple):
    """Of log10(||delta_1|| / ||delta_L||) over the weights, of one input.

    Arguments:
        shift: its mean less the logarithm that mean-field theory gives.
        deviation: its standard deviation.
    """

    shift: float
    deviation: float


def slope_ratio(f: Function, q: float) -> float:
    """E[f'^4] / E[f'^2]^2: 1 for the identity, 2 for relu."""
    return slope_moment(f, q, 4) / slope_moment(f, q) ** 2


def layer_variance(ratio: float, width: int, orthogonal: bool = False) -> float:
    """The relative variance of ||f' W^T delta||^2 over W: (3 ratio - 1) / width for Gaussian weights.

    5 / width for relu (Hanin and Nica 2020, theorem 1), 2 / width for the identity. An orthogonal W^T delta
    is a random point on a sphere: 3 (ratio - 1) / (width + 2), none for the identity.

    Arguments:
        ratio: `slope_ratio` of the activation, with slopes that are independent of each other.
        width: units of the layer.
        orthogonal: whether the weights are.
    """
    return 3 * (ratio - 1) / (width + 2) if orthogonal else (3 * ratio - 1) / width


def scatter(variances: Iterable[float]) -> Scatter:
    """Of a chain of layers with these `layer_variance`s."""
    beta = math.fsum(math.log1p(variance) for variance in variances)
    return Scatter(-beta / 4 / math.log(10), math.sqrt(beta) / 2 / math.log(10))
