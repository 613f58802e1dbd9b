"""Over how many layers signals and gradients change by a factor e (Schoenholz et al. 2017)."""

from __future__ import annotations

import math

from vanishgrad.theory.correlation import c_star, chi_c
from vanishgrad.theory.mean_field import LONGEST, TINY, chi_1, chi_q
from vanishgrad.theory.quadrature import Function

CRITICAL = 1e-3  # |chi_1 - 1| up to here: a thousand layers change a squared gradient by less than e
ROUNDING = 1e-9  # of the logarithm of a factor
TRAINABLE = 6.0  # depth scales xi_c: the deepest networks that trained (Schoenholz et al. 2017, fig. 5)


def depth_scale(factor: float) -> float:
    """1 / |ln factor|: after so many layers a quantity has changed by e; infinite where it does not."""
    if factor <= 0 or math.isinf(factor):
        return 0.0
    change = abs(math.log(factor))
    return 1 / change if change > ROUNDING else math.inf


def xi_grad(f: Function, sigma_w: float, q: float) -> float:
    """Layers over which the squared gradient changes by e: 1 / |ln chi_1| (Schoenholz et al. 2017, eq. 17).

    It shrinks towards the input where chi_1 < 1, and grows where chi_1 > 1.
    """
    return depth_scale(chi_1(f, sigma_w, q))


def xi_c(f: Function, q: float, sigma_w: float, sigma_b: float, noise: float = 1) -> float:
    """Layers over which two inputs come nearer to c_star by e (Schoenholz et al. 2017, eq. 9): as far as
    anything about an input is carried."""
    q = min(max(q, TINY), LONGEST)
    c = c_star(f, q, sigma_w, sigma_b, noise)
    return depth_scale(chi_c(f, c, q, sigma_w, sigma_b, noise))


def xi_q(f: Function, sigma_w: float, q: float) -> float:
    """Layers over which a length comes nearer to q_star by e (Schoenholz et al. 2017, eq. 6)."""
    return depth_scale(chi_q(f, sigma_w, q))


def phase(chi: float) -> str:
    """ordered where gradients vanish with depth, chaotic where they explode, critical between."""
    if abs(chi - 1) <= CRITICAL:
        return "critical"
    return "ordered" if chi < 1 else "chaotic"
