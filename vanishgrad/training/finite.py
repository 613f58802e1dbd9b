"""Where a run stopped being finite."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from vanishgrad.records import GRADIENT_COLUMNS, Cell

FORWARD = ("weight_norm", "act_mean", "act_std")
BACKWARD = ("delta_norm", "grad_norm", "bias_grad_norm")


def all_finite(loss: Tensor, tensors: Sequence[Tensor]) -> bool:
    """Whether the loss and every element of the tensors are finite; one look at the device."""
    # adding up 300,000 numbers is quicker than testing each: a sum that is finite had finite terms
    total = torch.cat([tensor.reshape(-1) for tensor in tensors]).sum() + loss
    if math.isfinite(total.item()):
        return True
    return bool(loss.isfinite() & torch.stack([tensor.isfinite().all() for tensor in tensors]).all())


def first_nonfinite(rows: Iterable[Sequence[Cell]]) -> dict[str, Any]:
    """The layer that stopped being finite first, and in what, from the rows of that step.

    The forward pass meets trouble nearest the input first, the backward pass nearest the output.
    """
    layers = [dict(zip(GRADIENT_COLUMNS, row, strict=True)) for row in rows]
    for columns, order in ((FORWARD, layers), (BACKWARD, layers[::-1])):
        for layer in order:
            for name in columns:
                value = layer[name]
                if isinstance(value, float) and not math.isfinite(value):
                    return {"layer": layer["layer"], "name": layer["name"], "what": name}
    return {"layer": layers[-1]["layer"], "name": layers[-1]["name"], "what": "loss"}
