"""Which examples are trained on and which are held out."""

from __future__ import annotations

import torch
from torch import Tensor

from vanishgrad.data.dataset import Examples
from vanishgrad.errors import require
from vanishgrad.streams import stream


def hold_out(pool: Examples, train_size: int | None, seed: int | None) -> tuple[Examples, Examples]:
    """Split `pool` into `train_size` examples (80 % when None) and the rest."""
    size = len(pool) * 4 // 5 if train_size is None else train_size
    order = _order(len(pool), seed)
    return pool.take(order[:size]), pool.take(order[size:])


def choose(train: Examples, train_size: int | None, seed: int | None) -> Examples:
    """`train_size` of the training examples, or all of them when None."""
    if train_size is None:
        return train
    require(
        train_size <= len(train),
        f"data.train_size={train_size}: must be at most {len(train)}, the training examples at hand",
    )
    return train.take(_order(len(train), seed)[:train_size])


def _order(count: int, seed: int | None) -> Tensor:
    """A random order of `count` rows, or file order without a seed."""
    if seed is None:
        return torch.arange(count)
    return torch.randperm(count, generator=stream(seed, "split"))
