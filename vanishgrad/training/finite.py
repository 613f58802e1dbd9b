"""Where a run stopped being finite."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from vanishgrad.records import GRADIENT_COLUMNS, Cell

FORWARD = ("weight_norm", "act_mean", "act_std")
BACKWARD = ("delta_norm", "grad_norm", "bias_grad_norm")
SAFE = 1e15  # of a float32 norm; an update this small cannot carry a weight out of the finite range


class FiniteCheck:
    """Whether the loss and every element of gradients and weights are finite.

    One look at the device settles the usual case: a finite norm of all gradients. Weights are looked at
    element by element at first, and from the first update on that was large enough to carry one of them
    away: where activations saturate, weights of inf have gradients of 0.

    Arguments:
        rate: the largest learning rate.
        decay: what a step's decay multiplies the weights by.
    """

    def __init__(self, rate: float, decay: float = 1.0) -> None:
        self._rate = rate
        self._first, self._risky = True, rate >= SAFE or abs(decay) > 1

    def __call__(
        self, loss: Tensor, gradients: Sequence[Tensor], weights: Sequence[Tensor], norm: Tensor | None = None
    ) -> bool:
        """`norm` is the global norm of the gradients, if it is known already."""
        size = torch.stack(torch._foreach_norm(list(gradients))).sum() if norm is None else norm
        level = float((size + loss.abs()).item())
        self._risky = self._risky or not (level < SAFE and level * self._rate < SAFE)
        if not (self._risky or self._first):
            return True
        self._first = False
        return all(bool(tensor.isfinite().all()) for tensor in (loss, *gradients, *weights))


def first_nonfinite(rows: Iterable[Sequence[Cell]], biases: Collection[str] = ()) -> dict[str, Any]:
    """The layer that stopped being finite first, and in what, from the rows of that step.

    The forward pass meets trouble nearest the input first, the backward pass nearest the output.

    Arguments:
        rows: of gradients.csv.
        biases: names of the weight matrices whose bias is not finite, which no column tells.
    """
    layers = [dict(zip(GRADIENT_COLUMNS, row, strict=True)) for row in rows]
    for columns, order in ((FORWARD, layers), (BACKWARD, layers[::-1])):
        for layer in order:
            for name in columns:
                value = layer[name]
                if isinstance(value, float) and not math.isfinite(value):
                    return {"layer": layer["layer"], "name": layer["name"], "what": name}
            if columns is FORWARD and layer["name"] in biases:
                return {"layer": layer["layer"], "name": layer["name"], "what": "bias"}
    return {"layer": layers[-1]["layer"], "name": layers[-1]["name"], "what": "loss"}
