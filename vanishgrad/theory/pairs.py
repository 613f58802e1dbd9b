"""Expectations over two correlated coordinates, of a Gaussian or of a point on a sphere."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from vanishgrad.theory.quadrature import CUTOFF, Function, graded, in_float64

RADII = (10, 12)  # panels, and nodes per panel
ANGLES = (12, 8)  # on each side of each kink
Pairs = tuple[Tensor, Tensor, Tensor]


@functools.cache
def gaussian_radii() -> tuple[Tensor, Tensor]:
    """The length r of two independent N(0, 1), each `(120,)`: density r exp(-r^2 / 2)."""
    r, width = graded(CUTOFF, *RADII)
    w = width * r * torch.exp(-(r**2) / 2)
    return r, w / w.sum()


@functools.cache
def sphere_radii(dimensions: int) -> tuple[Tensor, Tensor]:
    """The length of two orthogonal coordinates of a point on the sphere of radius sqrt(dimensions).

    r = sqrt(D) sin(psi) with density sin(psi) cos(psi)^(D-3), for D > 2. For D to infinity the Gaussian's.
    """
    psi, width = graded(math.pi / 2, 24, RADII[1])
    w = width * psi.sin() * psi.cos() ** (dimensions - 3)
    return math.sqrt(dimensions) * psi.sin(), w / w.sum()


def pair_nodes(c: float, radii: tuple[Tensor, Tensor]) -> Pairs:
    """Nodes x_a, x_b of correlation c and unit variance with their weights, each `(radius, angle)`.

    In polar coordinates x = r cos(phi +- alpha / 2), alpha = arccos c, a kink at x = 0 is a ray, so that the
    angles can be graded towards it. Half of the plane is enough: exchanging a and b mirrors phi.
    """
    alpha = math.acos(max(-1.0, min(1.0, c)))
    first, second = (math.pi - alpha) / 2, (math.pi + alpha) / 2  # where x_a and x_b are 0
    t, width = graded(1.0, *ANGLES)
    pieces = [(first, -first), (first, alpha / 2), (second, -alpha / 2), (second, first)]
    phi = torch.cat([kink + span * t for kink, span in pieces])
    weight = torch.cat([abs(span) / math.pi * width for _, span in pieces])
    r, of_radius = radii
    x_a, x_b = (r[:, None] * torch.cos(phi + sign * alpha / 2) for sign in (1, -1))
    return x_a, x_b, of_radius[:, None] * weight


def pair_expectation(
    g: Callable[[Tensor, Tensor], Tensor], c: float, radii: tuple[Tensor, Tensor] | None = None
) -> float:
    """E[g(x_a, x_b)] of a g that is symmetric and smooth but for kinks at x_a = 0 and x_b = 0, to 1e-10."""
    x_a, x_b, w = pair_nodes(c, gaussian_radii() if radii is None else radii)
    with torch.no_grad():
        return float((w * g(x_a, x_b)).sum())


def product_expectation(f: Function, q: float, c: float) -> float:
    """E[f(x_a) f(x_b)] for x_a, x_b ~ N(0, q) of correlation c."""
    f, scale = in_float64(f), math.sqrt(q)
    return pair_expectation(lambda a, b: f(scale * a) * f(scale * b), c)
