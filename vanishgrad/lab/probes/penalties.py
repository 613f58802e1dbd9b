"""`vanishgrad.penalty` against the closed form."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor, nn

from vanishgrad.choices.model.build import build
from vanishgrad.choices.regularization import penalty
from vanishgrad.lab.probes.clipped_gradient import flat
from vanishgrad.modules.weights import weight_matrices
from vanishgrad.run import Run


def penalties(seed: int) -> pd.DataFrame:
    """`scope, error`: `vanishgrad.penalty` against the sum of squares and its gradient 2 w, relative."""
    model = build(Run(depth=3, seed=seed, dtype="float64"))
    matrices = weight_matrices(model)
    parts = {"": [one.weight for one in matrices], matrices[1].name: [matrices[1].weight]}
    rows = [(scope or "model", penalty_error(model, scope, weights)) for scope, weights in parts.items()]
    return pd.DataFrame(rows, columns=["scope", "error"])


def penalty_error(model: nn.Module, scope: str, weights: Sequence[Tensor]) -> float:
    """The larger of the relative errors of value and gradient."""
    found = penalty(model, scope)
    expected = float(sum((weight.detach() ** 2).sum() for weight in weights))
    gradients = list(torch.autograd.grad(found, weights))
    wrong = [one - 2 * weight.detach() for one, weight in zip(gradients, weights, strict=True)]
    slope = float(flat(wrong).norm() / flat(gradients).norm())
    return max(abs(float(found.detach()) - expected) / expected, slope)
