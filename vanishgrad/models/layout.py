"""Weights of equal shape side by side in memory, so that one operation can read all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

ALIGNMENT = 16  # elements; what follows an odd-sized matrix starts on a boundary as it would alone


def side_by_side(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Undefined tensors like those given, in one block of memory per shape."""
    wanted = list(tensors)
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for index, tensor in enumerate(wanted):
        groups[tensor.shape, tensor.dtype, tensor.device].append(index)
    found = list(wanted)
    for members in groups.values():
        first = wanted[members[0]]
        stride = -(-first.numel() // ALIGNMENT) * ALIGNMENT
        block = torch.empty(len(members), stride, dtype=first.dtype, device=first.device)
        for row, index in zip(block, members, strict=True):
            found[index] = row[: first.numel()].view(first.shape)
    return found


@torch.no_grad()
def side_by_side_(parameters: Iterable[nn.Parameter]) -> None:
    """Move the values of the parameters, unchanged, into one block of memory per shape."""
    moved = list(parameters)
    for parameter, place in zip(moved, side_by_side(moved), strict=True):
        parameter.data = place.copy_(parameter)
