"""L2 norms of many tensors at once, right from 1e-30 to 1e30 per element."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

LONG = 1 << 15  # elements; a float32 norm of more adds too many squares in a row to keep six digits
SAFE = 1e-15, 1e15  # a float32 norm in this range has lost nothing that matters to under- or overflow
CHUNK = 1 << 19  # elements per stack, so that working memory stays small


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
    if tensors[0].device.type == "cpu" and all(map(is_quick, tensors)):
        quick = torch.stack(torch._foreach_norm(list(tensors))).double()
        if is_safe(quick):
            return quick
    return torch.stack(torch._foreach_norm(list(tensors), dtype=torch.float64))


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """The L2 norm of all elements together, a float64 scalar."""
    return torch.linalg.vector_norm(norms(tensors))


def is_quick(tensor: Tensor) -> bool:
    """Whether the norm of `tensor` may be accumulated in its own type: few elements, not of half precision."""
    return tensor.numel() <= LONG and tensor.dtype in (torch.float32, torch.float64)


def is_safe(quick: Tensor) -> bool:
    """Whether norms that were accumulated in float32 can be trusted."""
    found = quick.flatten().tolist()
    return SAFE[0] < min(found) and max(found) < SAFE[1] and not math.isnan(sum(found))


def row_norms(rows: Tensor, exact: bool) -> Tensor:
    """The L2 norm of each row of `(rows, ...)`, accumulated in float64 if `exact` or if they are long."""
    flat = rows.flatten(1)
    quick = is_quick(rows[0]) and not exact
    return torch.linalg.vector_norm(flat, dim=1, dtype=None if quick else torch.float64)


def checked(device: torch.device, measure: Callable[[bool], Tensor]) -> Tensor:
    """Norms in float64 from `measure(exact)`; on a CPU the quick ones serve when all of them are safe."""
    if device.type == "cpu":
        quick = measure(False).double()
        if is_safe(quick):
            return quick
    return measure(True)


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
