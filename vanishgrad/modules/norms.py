"""L2 norms of many tensors at once, right from 1e-30 to 1e30 per element."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

LONG = 1 << 14  # elements; a float32 norm of more adds too many squares in a row to keep six digits
FULL = frozenset((torch.float32, torch.float64))  # types precise enough to accumulate in
SAFE = 1e-15, 1e15  # a float32 norm in this range has lost nothing that matters to under- or overflow
CHUNK = 1 << 19  # elements per stack, so that working memory stays small

Runs = Tensor | slice  # some runs of a stack, by a mask `(runs,)`, or all of them


@torch.no_grad()
def norms(tensors: Sequence[Tensor]) -> Tensor:
    """The L2 norm of each tensor, `(len(tensors),)` in float64.

    float32 squares vanish under 1e-20 per element and overflow over 1e18, which is the range this project
    measures. On an accelerator everything is accumulated in float64; on a CPU, where looking at a result
    is free, quicker float32 sums over pieces of bounded length are kept when they lie in the safe range, and
    done again otherwise.
    """
    if not tensors:
        return torch.zeros(0, dtype=torch.float64)
    return norms_by_range(tensors[0].device, lambda exact, _: _each(tensors, exact)[:, None])[:, 0]


def _each(tensors: Sequence[Tensor], exact: bool) -> Tensor:
    if exact or not FULL.issuperset(tensor.dtype for tensor in tensors):
        # not _foreach_norm, which holds float64 copies of all tensors at once
        return torch.stack([torch.linalg.vector_norm(tensor, dtype=torch.float64) for tensor in tensors])
    if max(map(Tensor.numel, tensors)) <= LONG:
        return torch.stack(torch._foreach_norm(list(tensors)))
    return torch.cat([row_norms(tensor.reshape(1, -1), False) for tensor in tensors])


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """The L2 norm of all elements together, a float64 scalar."""
    return torch.linalg.vector_norm(norms(tensors))


@torch.no_grad()
def stacked_norms(blocks: Sequence[Tensor], others: Sequence[Tensor] = ()) -> Tensor:
    """As `norms`, of every tensor of every run of a stack, `(tensors, runs)` in float64.

    What becomes of one run leaves the norms of the others as they are.

    Arguments:
        blocks: each `(runs, count, *shape)`; their tensors are counted block by block.
        others: tensors that lie anywhere, each `(runs, *shape)`, of a run alone `(*shape)`.
    """
    if not blocks:
        return torch.zeros(0, 1, dtype=torch.float64)
    alone = len(blocks[0]) == 1

    def measure(exact: bool, runs: Runs) -> Tensor:
        if not alone:
            return _stacked([*blocks, *(other.unsqueeze(1) for other in others)], exact, runs)
        rows = [row_norms(block[0], exact) for block in blocks]
        return torch.cat([*rows, _each(others, exact)] if others else rows)[:, None]

    return norms_by_range(blocks[0].device, measure)


def _stacked(blocks: Sequence[Tensor], exact: bool, runs: Runs) -> Tensor:
    chosen = [block[runs].transpose(0, 1) for block in blocks]
    return torch.cat([row_norms(block.flatten(0, 1), exact).view(block.shape[:2]) for block in chosen])


def row_norms(rows: Tensor, exact: bool) -> Tensor:
    """The L2 norm of each row of `(rows, ...)`, accumulated in float64 if `exact`; long rows in pieces."""
    flat = rows.flatten(1) if rows.ndim > 1 else rows[:, None]
    if exact or rows.dtype not in FULL:
        few = max(1, LONG // max(1, flat.shape[1]))  # a CPU makes a float64 copy of what it is given
        parts = flat.split(few) if flat.device.type == "cpu" else (flat,)
        return torch.cat([torch.linalg.vector_norm(part, dim=1, dtype=torch.float64) for part in parts])
    whole = flat.shape[1] // LONG * LONG
    if flat.shape[1] <= LONG:
        return torch.linalg.vector_norm(flat, dim=1)
    pieces = torch.linalg.vector_norm(flat[:, :whole].unflatten(1, (-1, LONG)), dim=2)
    rest = torch.linalg.vector_norm(flat[:, whole:], dim=1, keepdim=True)
    return torch.linalg.vector_norm(torch.cat([pieces, rest], dim=1), dim=1)


def norms_by_range(device: torch.device, measure: Callable[[bool, Runs], Tensor]) -> Tensor:
    """Norms `(tensors, runs)` in float64 from `measure(exact, runs)`.

    On a CPU the quick ones serve for the runs for which all of them are safe.
    """
    everything = slice(None)
    if device.type != "cpu":
        return measure(True, everything)
    quick = measure(False, everything).double()
    if quick.shape[1] == 1:  # a run alone: Python looks at so few numbers sooner than torch does
        found = quick[:, 0].tolist()  # NaN among them stays NaN either way
        return (
            quick
            if not found or (SAFE[0] < min(found) and max(found) < SAFE[1])
            else measure(True, everything)
        )
    unsafe = ~((quick > SAFE[0]) & (quick < SAFE[1])).all(0)
    if unsafe.all():
        return measure(True, everything)
    if unsafe.any():
        quick[:, unsafe] = measure(True, unsafe)
    return quick


def neighbours(tensors: Sequence[Tensor]) -> Tensor | None:
    """Tensors of equal shape that lie side by side in one block of memory, seen as one, `(rows, *shape)`.

    None where they do not.
    """
    first = tensors[0]
    places = [tensor.storage_offset() for tensor in tensors]
    step = places[1] - places[0] if len(places) > 1 else first.numel()
    block = first.untyped_storage().data_ptr()
    even = all(place == places[0] + index * step for index, place in enumerate(places))
    alike = all(
        tensor.untyped_storage().data_ptr() == block and tensor.stride() == first.stride()
        for tensor in tensors
    )
    if step < 0 or not even or not alike:
        return None
    return first.as_strided((len(tensors), *first.shape), (step, *first.stride()), places[0])


def chunks(tensors: Sequence[Tensor], kinds: Sequence[object] | None = None) -> list[list[int]]:
    """The positions of tensors of equal shape (and kind), in groups of bounded size to be stacked.

    One operation on a stack costs a fraction of one per layer.
    """
    groups: dict[tuple[object, torch.Size], list[int]] = defaultdict(list)
    for index, tensor in enumerate(tensors):
        groups[None if kinds is None else kinds[index], tensor.shape].append(index)
    parts = []
    for (_, shape), group in groups.items():
        rows = max(1, CHUNK // max(1, shape.numel()))
        parts += [group[start : start + rows] for start in range(0, len(group), rows)]
    return parts
