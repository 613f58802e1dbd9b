"""Inputs brought to a common scale, measured on the training examples alone."""

from __future__ import annotations

import torch
from torch import Tensor

from vanishgrad.data.dataset import Dataset, Examples


def scaled(train: Examples, held_out: Examples, scale: str) -> Dataset:
    """Both splits under the one affine map that `scale`, standard or unit, finds for the training inputs."""
    # Copies: a large data set is then scaled in place, and its source left alone.
    train_x, val_x = (split.x.to(torch.float32, copy=True) for split in (train, held_out))
    shift, span = _moments(train_x) if scale == "standard" else _range(train_x, train.bounds)
    for x in (train_x, val_x):
        x.sub_(shift).div_(span)
    return Dataset(train_x, train.y, val_x, held_out.y)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel of `x`, `(n, channels, ...)`, each `(1, channels, 1, ...)`."""
    std, mean = torch.std_mean(x, _all_but_channel(x), correction=0, keepdim=True)
    return mean, _without_zeros(std)


def _range(x: Tensor, bounds: tuple[float, float] | None) -> tuple[Tensor, Tensor]:
    """Least value and extent, per channel of `x` where the data has no bounds of its own."""
    if bounds is not None:
        least, largest = bounds
        return torch.tensor(least), torch.tensor(largest - least)
    dims = _all_but_channel(x)
    low = x.amin(dims, keepdim=True)
    return low, _without_zeros(x.amax(dims, keepdim=True) - low)


def _all_but_channel(x: Tensor) -> list[int]:
    return [dim for dim in range(x.ndim) if dim != 1]


def _without_zeros(span: Tensor) -> Tensor:
    """`span` with 1 for 0, so that a channel that never varies becomes 0 and not nan."""
    return torch.where(span > 0, span, 1.0)
