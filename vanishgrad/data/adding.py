"""The adding problem."""

from __future__ import annotations

import torch
from torch import Tensor

from vanishgrad.choices.data import Adding
from vanishgrad.data.dataset import Dataset
from vanishgrad.streams import stream


def draw_adding(data: Adding) -> Dataset:
    """Inputs `(n, length, 2)`, at each time a number and its mark; targets `(n, 1)`, the marked sum."""
    return Dataset(*_part(data, data.train_size, "train"), *_part(data, data.held_out, "held out"))


def _part(data: Adding, count: int, part: str) -> tuple[Tensor, Tensor]:
    # A stream for each of the three: the first sequences are then the same however many are drawn.
    numbers, first, second = (
        stream(data.seed, "adding", part, what) for what in ("numbers", "first", "second")
    )
    half, rows = data.length // 2, torch.arange(count)
    x = torch.zeros(count, data.length, 2, dtype=torch.float32)
    x[..., 0] = torch.rand(count, data.length, generator=numbers, dtype=torch.float32)
    early = torch.randint(half, (count,), generator=first)
    late = torch.randint(half, data.length, (count,), generator=second)
    x[rows, early, 1] = x[rows, late, 1] = 1
    return x, (x[rows, early, 0] + x[rows, late, 0])[:, None]
