"""Examples as their source stores them, and as a network learns from them."""

from __future__ import annotations

from dataclasses import dataclass

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
    """Scaled training examples and the held-out split. Shared by all who load it: never write into it.

    Arguments:
        train_x: training inputs, `(n, *shape)`, float32.
        train_y: training labels, `(n,)`, int64.
        val_x: held-out inputs, `(m, *shape)`, float32.
        val_y: held-out labels, `(m,)`, int64.
    """

    train_x: Tensor
    train_y: Tensor
    val_x: Tensor
    val_y: Tensor
