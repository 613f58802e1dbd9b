"""An activation as a curve: its values and its slopes, from the module that trains."""

from __future__ import annotations

import torch

from vanishgrad.choices.activation import Activation

REACH = 4  # on either side of 0: beyond it every choice is as good as straight
FINE = 50  # points per unit


def curve(act: Activation) -> dict[str, list[float]]:
    """`x`, `value` f(x) and `slope` f'(x) by autograd; at a kink the slope that training uses.

    A learned slope (prelu) is the one that training starts with.
    """
    whole = torch.arange(-REACH * FINE, REACH * FINE + 1, dtype=torch.float64)
    x = (whole / FINE).requires_grad_()
    value = act.module().to(torch.float64)(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    return {name: each.detach().tolist() for name, each in (("x", x), ("value", value), ("slope", slope))}
