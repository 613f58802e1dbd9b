"""Copy memory."""

from __future__ import annotations

import torch
from torch import Tensor

from vanishgrad.choices.data import Copy
from vanishgrad.data.dataset import Dataset
from vanishgrad.streams import stream


def draw_copy(data: Copy) -> Dataset:
    """Symbols in and out, both `(n, length + 2 memory)`: the alphabet, then the blank, then the delimiter."""
    return Dataset(*_part(data, data.train_size, "train"), *_part(data, data.held_out, "held out"))


def _part(data: Copy, count: int, part: str) -> tuple[Tensor, Tensor]:
    generator = stream(data.seed, "copy", part)
    remembered = torch.randint(data.alphabet, (count, data.memory), generator=generator)
    blank, delimiter = data.alphabet, data.alphabet + 1
    x, y = (torch.full((count, data.times), blank) for _ in range(2))
    x[:, : data.memory] = y[:, -data.memory :] = remembered
    x[:, -data.memory - 1] = delimiter
    return x, y
