"""Coordinates of a point that is uniform on a sphere: what a normalization over few values leaves."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from vanishgrad.theory.pairs import pair_expectation, sphere_radii
from vanishgrad.theory.quadrature import NODES, PANELS, Function, graded, in_float64


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
