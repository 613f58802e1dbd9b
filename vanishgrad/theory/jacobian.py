"""Singular values of the input-output Jacobian J = D_L W_L ... D_1 W_1 (Pennington et al. 2017, 2018).

In the limit of wide layers the spectrum of J J^T follows from those of the W W^T and of the squared slopes
D^2 by free multiplication: S-transforms are multiplied.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_STEPS = 200  # Newton's
CONVERGED = 1e-12


@dataclass(frozen=True)
class Spectrum:
    """Of the squared singular values of J.

    Arguments:
        log_mean: the logarithm of their mean, the mean of ||J v||^2 over unit vectors v.
        relative_variance: their variance over the square of their mean; 0 is dynamical isometry.
    """

    log_mean: float
    relative_variance: float


def spectrum(factors: Iterable[tuple[float, float]], orthogonal: bool) -> Spectrum:
    """Mean and variance of the squared singular values of J, from `(chi_1, slope ratio)` of each layer.

    The slope ratio is E[f'^4] / E[f'^2]^2, `vanishgrad.theory.mean_field.slope_ratio`.

    The relative variance is the sum over the layers of ratio - 1 - s_1, with s_1 = -1 for Gaussian weights
    and 0 for orthogonal ones (Pennington et al. 2017, eq. 21): only orthogonal weights under an activation
    that is almost linear keep it small at any depth.

    >>> spectrum([(1.0, 2.0)] * 10, orthogonal=False)  # ten layers of relu, He's weights
    Spectrum(log_mean=0.0, relative_variance=20.0)
    """
    log_mean = variance = 0.0
    for chi, ratio in factors:
        log_mean += float(np.log(chi)) if chi > 0 else -np.inf
        variance += ratio - 1 + (0.0 if orthogonal else 1.0)
    return Spectrum(log_mean, variance)


def relu_density(
    x: NDArray[np.float64], depth: int, orthogonal: bool, active: float = 0.5, width: float = 1e-3
) -> NDArray[np.float64]:
    """The density of the eigenvalues of J J^T other than 0, `(n,)`, at `x`, `(n,)`.

    Of `depth` layers that keep the mean squared gradient.

    Squared slopes are 1 / active with probability `active`, else 0: relu for 1 / 2, linear for 1. Their S is
    active (1 + z) / (active + z); that of W W^T is 1 / (1 + z) for Gaussian weights, 1 for orthogonal ones
    (Pennington et al. 2017, table 1). With M the moment generating function, x = (1 + M) / (M S(M)) is solved
    for M at x + i `width` x by Newton's method, along the circle that leads there from infinity.

    Arguments:
        x: positive numbers, increasing.
        depth: L.
        orthogonal: whether the weights are.
        active: the share of slopes that are not 0.
        width: of the smoothing, relative to x.

    >>> linear = relu_density(np.array([1.0]), depth=1, orthogonal=False, active=1.0)
    >>> bool(abs(linear[0] - np.sqrt(3) / (2 * np.pi)) < 1e-3)  # Marchenko and Pastur's law at 1
    True
    """
    return np.array([_density(at, depth, orthogonal, active, width) for at in x], dtype=float)


def _density(x: float, depth: int, orthogonal: bool, active: float, width: float) -> float:
    far = max(1e3, 1e3 * x) * 2**depth
    goal = complex(x, width * x)
    # from far up the imaginary axis, where M is about 1 / z, down to the goal in small steps
    path = np.exp(np.linspace(np.log(complex(0, far)), np.log(goal), 60 + 20 * depth))
    m = 1 / path[0]
    for z in path:
        m = _solve(z, m, depth, orthogonal, active)
    green = (1 + m) / goal
    return float(-green.imag / np.pi)


def _solve(z: complex, m: complex, depth: int, orthogonal: bool, active: float) -> complex:
    """M with (1 + M) / (M S(M)) = z, by Newton's method from a guess near it.

    Not `scipy.optimize.newton`, which takes ten times as long for the same digits.
    """
    for _ in range(MOST_STEPS):
        power = 0 if orthogonal else depth
        value = (1 + m) * ((active + m) / (active * (1 + m))) ** depth * (1 + m) ** power - z * m
        slope = value + z * m
        slope = slope * (1 / (1 + m) + depth * (1 / (active + m) - 1 / (1 + m)) + power / (1 + m)) - z
        step = value / slope
        m -= step
        if abs(step) <= CONVERGED * abs(m):
            break
    return m
