"""Images read as sequences."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from vanishgrad.data.dataset import Dataset


def in_time(data: Dataset, sequence: str | None) -> Dataset:
    """Images `(n, channels, height, width)` as `(n, time, features)`, or as they are without a `sequence`.

    A time step is a row, one colour after the other, or a pixel in all its colours.
    """
    if sequence is None:
        return data
    read = _rows if sequence == "rows" else _pixels
    return replace(data, train_x=read(data.train_x), val_x=read(data.val_x))


def _rows(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)  # (n, height, channels * width)


def _pixels(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2).contiguous()  # (n, height * width, channels)
