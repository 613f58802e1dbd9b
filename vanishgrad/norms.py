"""L2 norms of many tensors at once, right from 1e-30 to 1e30 per element."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

CHUNK = 1 << 22  # elements stacked at a time, so that a deep network's temporaries stay small
SAFE = 1e-15, 1e15  # a float32 norm in this range has lost nothing that matters to under- or overflow


def norms(tensors: Sequence[Tensor]) -> Tensor:
    """The L2 norm of each tensor, `(len(tensors),)` in float64; zero for a tensor without elements.

    float32 squares vanish under 1e-20 per element and overflow over 1e18, which is the range this project
    measures. On an accelerator everything is accumulated in float64; on a CPU, where looking at a result
    is free, the faster float32 sum is kept when it lies in the safe range and done again otherwise.
    """
    result = torch.zeros(len(tensors), dtype=torch.float64, device=tensors[0].device if tensors else None)
    for indices, stack in stacks(tensors):
        result[indices] = row_norms(stack)
    return result


def row_norms(stack: Tensor) -> Tensor:
    """The L2 norm of each row of `(rows, elements)`, in float64."""
    if stack.dtype == torch.float64 or stack.device.type != "cpu":
        return torch.linalg.vector_norm(stack, dim=1, dtype=torch.float64)
    quick = torch.linalg.vector_norm(stack, dim=1)
    if all(SAFE[0] < value < SAFE[1] for value in quick.tolist()):
        return quick.double()
    return torch.linalg.vector_norm(stack, dim=1, dtype=torch.float64)


def stacks(tensors: Sequence[Tensor]) -> Iterator[tuple[list[int], Tensor]]:
    """Tensors of equal size as rows of one `(rows, elements)` stack, with their positions."""
    by_size: dict[int, list[int]] = defaultdict(list)
    for index, tensor in enumerate(tensors):
        by_size[tensor.numel()].append(index)
    for size, indices in by_size.items():
        rows = max(1, CHUNK // max(1, size))
        for start in range(0, len(indices), rows):
            chosen = indices[start : start + rows]
            yield chosen, torch.stack([tensors[index].detach().reshape(-1) for index in chosen])
