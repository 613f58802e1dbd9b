"""Weights of equal shape side by side in memory, so that one operation can read all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import nn

ALIGNMENT = 16  # elements; what follows an odd-sized matrix starts on a boundary as it would alone


@torch.no_grad()
def side_by_side_(parameters: Iterable[nn.Parameter]) -> None:
    """Move the values of the parameters, unchanged, into one block of memory per shape."""
    groups: dict[tuple[object, ...], list[nn.Parameter]] = defaultdict(list)
    for parameter in parameters:
        groups[parameter.shape, parameter.dtype, parameter.device].append(parameter)
    for group in groups.values():
        size = group[0].numel()
        stride = -(-size // ALIGNMENT) * ALIGNMENT
        block = torch.empty(len(group), stride, dtype=group[0].dtype, device=group[0].device)
        for row, parameter in zip(block, group, strict=True):
            place = row[:size].view(parameter.shape)
            parameter.data = place.copy_(parameter)
