"""Columns of measurements on a device, on their way to the host."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Columns:
    """Named columns with an entry per weight matrix, some of which may not exist.

    Arguments:
        size: entries per column.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: dict[str, Tensor] = {}
        self._entries: dict[str, Mapping[int, int]] = {}

    def put(self, name: str, values: Tensor, entries: Mapping[int, int]) -> None:
        """A column whose entry `i` is `values[entries[i]]`, and does not exist where `entries` has no `i`."""
        self._values[name], self._entries[name] = values, entries

    def to_host(self, beside: Tensor | None = None) -> tuple[dict[str, list[float | None]], list[float]]:
        """All columns as Python numbers, None where an entry does not exist, and `beside`; one transfer."""
        device = next(iter(self._values.values())).device
        extra = torch.zeros(0) if beside is None else beside
        moved = [values.to(device, torch.float64) for values in (*self._values.values(), extra)]
        numbers = torch.cat(moved).tolist()
        columns, start = {}, 0
        for (name, entries), values in zip(self._entries.items(), self._values.values(), strict=True):
            part = numbers[start : start + len(values)]
            columns[name] = [part[entries[i]] if i in entries else None for i in range(self.size)]
            start += len(values)
        return columns, numbers[start:]
