"""Examples as their source stores them, and as a network learns from them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs and labels as read, before scaling.

    Arguments:
        x: inputs, `(n, *shape)`, uint8 or float32.
        y: labels, `(n,)`, int64.
        bounds: the least and the largest value that an input can take; None when there are none.
    """

    x: Tensor
    y: Tensor
    bounds: tuple[float, float] | None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: Tensor) -> Examples:
        """A copy of the examples at `rows`, `(m,)`, in that order."""
        return Examples(self.x[rows], self.y[rows], self.bounds)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training examples and the held-out split. Shared by all who load it: never write into it.

    Inputs are float32: points `(n, features)`, images `(n, channels, height, width)`, sequences of values
    `(n, time, features)`, frames `(n, time, channels, height, width)`; or symbol numbers, int64: `(n, time)`,
    and for a running text `(n,)`, one after the other.

    Targets are class numbers, int64: `(n,)`, or `(n, time)` with one at every time step, and for a running
    text `(n,)`, the symbols that follow; or values, float32: `(n, outputs)`, or frames as the inputs are.

    Arguments:
        train_x: training inputs.
        train_y: training targets.
        val_x: held-out inputs.
        val_y: held-out targets.
    """

    train_x: Tensor
    train_y: Tensor
    val_x: Tensor
    val_y: Tensor

    def to(self, device: torch.device, dtype: torch.dtype) -> Dataset:
        """The same on a device, its inputs in the type that a network computes in; symbols stay numbers."""
        x, val_x = (
            inputs.to(device, dtype if inputs.is_floating_point() else None)
            for inputs in (self.train_x, self.val_x)
        )
        return Dataset(x, self.train_y.to(device), val_x, self.val_y.to(device))
