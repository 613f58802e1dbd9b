"""Weights of equal shape side by side in memory, so that one operation can read all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from vanishgrad.modules.norms import SAFE, row_norms

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


class Blocks:
    """Tensors of `runs` networks: those of equal shape in one block, `(count, runs, *shape)`.

    Arguments:
        like: the tensors of one network, in order.
        runs: how many networks.
        device: of the blocks.
    """

    def __init__(self, like: Sequence[Tensor], runs: int, device: torch.device) -> None:
        groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for index, tensor in enumerate(like):
            groups[tensor.shape, tensor.dtype].append(index)
        self.all: list[Tensor] = []
        self.places = [(0, 0)] * len(like)  # of each tensor: its block, and its position there
        for number, members in enumerate(groups.values()):
            first = like[members[0]]
            self.all.append(torch.zeros(len(members), runs, *first.shape, dtype=first.dtype, device=device))
            for position, index in enumerate(members):
                self.places[index] = number, position
        self.stacked = [self.all[block][position] for block, position in self.places]

    def of_run(self, row: int) -> list[Tensor]:
        """The tensors of one network, in order; views."""
        return [stack[row] for stack in self.stacked]

    def in_order(self, numbers: Tensor) -> Tensor:
        """One row of numbers per tensor, given block by block, in the order of the tensors."""
        starts = [0, *accumulate(map(len, self.all))]
        return numbers[[starts[block] + position for block, position in self.places]]

    def alike(self) -> list[Tensor]:
        """Zeros in the form of the blocks."""
        return [torch.zeros_like(block) for block in self.all]


class Storage:
    """The parameters and buffers of a stack of networks.

    Arguments:
        template: a network like each of them.
        runs: how many.
        device: where they compute.
    """

    def __init__(self, template: nn.Module, runs: int, device: torch.device) -> None:
        self.names = [name for name, _ in template.named_parameters()]
        self.values = Blocks([p.detach() for p in template.parameters()], runs, device)
        self.buffers = {
            name: torch.zeros(runs, *buffer.shape, dtype=buffer.dtype, device=device)
            for name, buffer in template.named_buffers()
        }

    @property
    def parameters(self) -> dict[str, Tensor]:
        """Every parameter of all runs by name, `(runs, *shape)`; views."""
        return dict(zip(self.names, self.values.stacked, strict=True))

    @torch.no_grad()
    def house(self, row: int, model: nn.Module) -> None:
        """Move the values of `model`, unchanged, to `row`."""
        for parameter, place in zip(model.parameters(), self.values.of_run(row), strict=True):
            parameter.data = place.copy_(parameter)
        for name, stack in self.buffers.items():
            path, _, attribute = name.rpartition(".")
            module = model.get_submodule(path)
            module._buffers[attribute] = stack[row].copy_(module.get_buffer(attribute))


@torch.no_grad()
def move_out(model: nn.Module) -> None:
    """Give `model` memory of its own for what it has in a stack."""
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    for module in model.modules():
        module._buffers.update(
            {name: None if b is None else b.clone() for name, b in module._buffers.items()}
        )


def along_runs(numbers: Tensor, tensor: Tensor, axis: int) -> Tensor:
    """`(runs,)` in a form that multiplies a tensor whose axis `axis` is the runs'."""
    return numbers.to(tensor.dtype).view(*[1] * axis, -1, *[1] * (tensor.ndim - axis - 1))


def quick_norms(blocks: Sequence[Tensor]) -> Tensor:
    """About the L2 norm over all elements of each run, `(runs,)`; 0 or inf where squares leave the range.

    Arguments:
        blocks: each `(count, runs, ...)`.
    """
    return torch.linalg.vector_norm(_lengths(blocks, exact=False), dim=0)


def lengths(blocks: Sequence[Tensor]) -> Tensor:
    """The L2 norm of every tensor of every run, `(tensors, runs)` in float64.

    On a CPU float32 sums serve the runs for which all of them are safe, whatever becomes of the others.

    Arguments:
        blocks: each `(count, runs, ...)`, in order.
    """
    if blocks[0].device.type != "cpu":
        return _lengths(blocks, exact=True)
    quick = _lengths(blocks, exact=False)
    unsafe = ~((quick > SAFE[0]) & (quick < SAFE[1])).all(0)
    if unsafe.any():
        quick[:, unsafe] = _lengths([block[:, unsafe] for block in blocks], exact=True)
    return quick


def _lengths(blocks: Sequence[Tensor], exact: bool) -> Tensor:
    rows = [block.reshape(len(block) * block.shape[1], -1) for block in blocks]
    sizes = [row_norms(row, exact).double() for row in rows]
    return torch.cat(sizes).view(-1, blocks[0].shape[1])


def modules_of(model: nn.Module, template: nn.Module) -> dict[nn.Module, nn.Module]:
    """The module of `model` for each of `template`, by path."""
    return {module: model.get_submodule(path) for path, module in template.named_modules()}
