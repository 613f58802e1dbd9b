"""Temporal order."""

from __future__ import annotations

import torch
from torch import Tensor

from vanishgrad.choices.data import TemporalOrder
from vanishgrad.data.dataset import Dataset
from vanishgrad.streams import stream

DISTRACTORS = 4  # symbols 0 to 3, the a, b, c, d of the paper
X, Y, START, END = range(DISTRACTORS, 8)


def draw_temporal_order(data: TemporalOrder) -> Dataset:
    """Symbols `(n, length)`; classes `(n,)`: 0 to 3 for XX, XY, YX, YY."""
    return Dataset(*_part(data, data.train_size, "train"), *_part(data, data.held_out, "held out"))


def _part(data: TemporalOrder, count: int, part: str) -> tuple[Tensor, Tensor]:
    def integers(what: str, low: int, high: int, *shape: int) -> Tensor:
        # A stream for each: the first sequences are then the same however many are drawn.
        return torch.randint(low, high, shape, generator=stream(data.seed, "temporal order", part, what))

    x, rows = integers("distractors", 0, DISTRACTORS, count, data.length), torch.arange(count)
    y = integers("classes", 0, 4, count)
    x[:, 0], x[:, -1] = START, END
    x[rows, integers("early", data.length // 10, data.length // 5, count)] = torch.where(y < 2, X, Y)
    x[rows, integers("late", data.length // 2, data.length * 3 // 5, count)] = torch.where(y % 2 == 0, X, Y)
    return x, y
