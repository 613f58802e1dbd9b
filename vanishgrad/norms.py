"""L2 norms of many tensors at once, right from 1e-30 to 1e30 per element."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

LONG = 1 << 15  # elements; a float32 norm of more adds too many squares in a row to keep six digits
SAFE = 1e-15, 1e15  # a float32 norm in this range has lost nothing that matters to under- or overflow
CHUNK = 1 << 17  # elements per stack, so that what is stacked for a moment stays small


@torch.no_grad()
def norms(tensors: Sequence[Tensor]) -> Tensor:
    """The L2 norm of each tensor, `(len(tensors),)` in float64.

    float32 squares vanish under 1e-20 per element and overflow over 1e18, which is the range this project
    measures. On an accelerator everything is accumulated in float64; on a CPU, where looking at a result
    is free, the quicker float32 sum of a short tensor is kept when it lies in the safe range, and done again
    otherwise.
    """
    if not tensors:
        return torch.zeros(0, dtype=torch.float64)
    exact = tensors[0].dtype == torch.float32  # half precision would round the result too
    if exact and tensors[0].device.type == "cpu" and max(tensor.numel() for tensor in tensors) <= LONG:
        quick = torch.stack(torch._foreach_norm(list(tensors))).double()
        if is_safe(quick):
            return quick
    return torch.stack(torch._foreach_norm(list(tensors), dtype=torch.float64))


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """The L2 norm of all elements together, a float64 scalar."""
    return torch.linalg.vector_norm(norms(tensors))


def is_safe(quick: Tensor) -> bool:
    """Whether norms that were accumulated in float32 can be trusted."""
    return all(SAFE[0] < norm < SAFE[1] for norm in quick.tolist())


def row_norms(stacks: Callable[[], Iterable[Tensor]]) -> Tensor:
    """The L2 norm of each row of each stack `(rows, ...)`, one after the other, in float64.

    `stacks` is called a second time when the norms have to be accumulated in float64.
    """
    found = torch.cat([_row_norms(stack, quick=True) for stack in stacks()]).double()
    if found.device.type == "cpu" and is_safe(found):
        return found
    return torch.cat([_row_norms(stack, quick=False) for stack in stacks()])


def _row_norms(stack: Tensor, quick: bool) -> Tensor:
    rows = stack.flatten(1)
    dtype = None if quick and rows.shape[1] <= LONG else torch.float64
    return torch.linalg.vector_norm(rows, dim=1, dtype=dtype)


def chunks(tensors: Sequence[Tensor]) -> list[list[int]]:
    """The positions of tensors of equal shape, in groups of bounded size to be stacked.

    One operation on a stack costs a fraction of one per layer.
    """
    groups: dict[torch.Size, list[int]] = defaultdict(list)
    for index, tensor in enumerate(tensors):
        groups[tensor.shape].append(index)
    found = []
    for shape, group in groups.items():
        rows = max(1, CHUNK // max(1, shape.numel()))
        found += [group[start : start + rows] for start in range(0, len(group), rows)]
    return found
