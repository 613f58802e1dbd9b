"""Shattered gradients: how alike the input gradients of neighbouring inputs are (Balduzzi et al. 2017)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vanishgrad.records import Cell
from vanishgrad.training.unchanged import unchanged

LINES = 8  # segments between training inputs that are averaged over


def correlation_rows(step: int, model: nn.Module, inputs: Tensor, points: int) -> list[tuple[Cell, ...]]:
    """Rows of input_gradients.csv: the correlation of input gradients at points `lag` apart on a line.

    A line runs from one training input to the next, with `points` equal steps; at each point the gradient
    of the sum of outputs with respect to the input is taken, and gradients are compared by their cosine,
    averaged over all pairs of points so far apart and over the lines. White noise has 0 at every lag but 0;
    the smooth gradient of a shallow network falls slowly. Batch statistics are those of the line.

    Arguments:
        step: updates done.
        model: the network; left as it is.
        inputs: two training inputs or more, `(n, *shape)`; the first ones are used.
        points: per line.
    """
    lines = [_line(inputs[k], inputs[k + 1], points) for k in range(min(LINES, len(inputs) - 1))]
    with unchanged(model):
        found = torch.stack([_correlations(_input_gradients(model, line)) for line in lines]).nanmean(0)
    return [(step, lag, None if math.isnan(mean) else mean) for lag, mean in enumerate(found.tolist())]


def _line(start: Tensor, end: Tensor, points: int) -> Tensor:
    """`(points, *shape)` from `start` to `end`."""
    share = torch.linspace(0, 1, points, dtype=start.dtype, device=start.device)
    return torch.lerp(start, end, share.view(-1, *[1] * start.ndim))


def _input_gradients(model: nn.Module, line: Tensor) -> Tensor:
    """d(sum of outputs)/d(input) at every point, `(points, features)`."""
    leaf = line.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(leaf).sum(), leaf)
    return gradient.flatten(1).double()


def _correlations(gradients: Tensor) -> Tensor:
    """Mean cosine of all pairs of rows `lag` apart, by lag from 0 to half the rows; NaN where all are 0."""
    lengths = gradients.norm(dim=1, keepdim=True)
    cosines = gradients / lengths
    table = cosines @ cosines.T
    return torch.stack([table.diagonal(lag).nanmean() for lag in range(len(gradients) // 2 + 1)])
