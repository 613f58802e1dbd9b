"""The tensors of a stack of networks: those of equal shape in one block, which one operation can read.

A network alone is a stack of one. Every block, and every tensor taken from one, has the runs along its first
axis, so that what is written for `(runs, ...)` serves both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

ALIGNMENT = 16  # elements; what follows an odd-sized matrix starts on a boundary as it would alone

Number = float | Tensor  # of a run alone, or one for each of several, `(runs,)`


class Blocks:
    """Tensors of `runs` networks, by shape and type.

    Attributes:
        all: the blocks, each `(runs, count, *shape)`.
        stacked: for each tensor of a network, in order, that of all runs, `(runs, *shape)`; views.
        rows: for each tensor its place when they are counted block by block.

    Arguments:
        like: the tensors of one network, in order.
        runs: how many networks.
        device: of the blocks.
    """

    def __init__(self, like: Sequence[Tensor], runs: int, device: torch.device) -> None:
        groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
        for index, tensor in enumerate(like):
            groups[tensor.shape, tensor.dtype].append(index)
        made = [_zeros(like[members[0]], runs, len(members), device) for members in groups.values()]
        self._memory = [memory for memory, _ in made]
        self._hold([block for _, block in made], list(groups.values()))

    @classmethod
    def over(cls, tensors: Sequence[Tensor]) -> Blocks:
        """The tensors of one network where they are, each a block of its own."""
        self = cls.__new__(cls)
        self._hold([tensor[None, None] for tensor in tensors], [[index] for index in range(len(tensors))])
        return self

    def _hold(self, blocks: list[Tensor], groups: Sequence[Sequence[int]]) -> None:
        """Keep the blocks, whose tensors are those of the groups."""
        self.all, self.runs = blocks, len(blocks[0]) if blocks else 0
        places = [
            (block, position) for block, members in enumerate(groups) for position in range(len(members))
        ]
        order = [index for members in groups for index in members]
        self.rows = sorted(range(len(order)), key=order.__getitem__)
        self.places = [places[row] for row in self.rows]  # of each tensor: its block, and its position there
        self.stacked = [blocks[block][:, position] for block, position in self.places]

    @cached_property
    def alone(self) -> list[Tensor]:
        """The tensors of the first network, in order; views that are kept."""
        return self.of_run(0)

    def of_run(self, row: int) -> list[Tensor]:
        """The tensors of one network, in order; views."""
        return [stack[row] for stack in self.stacked]

    def quick_norm(self) -> float:
        """About the L2 norm over everything; 0 or inf where squares leave the range."""
        return float(torch.stack([part.dot(part) for part in self._memory]).double().sum().sqrt())

    def alike(self) -> list[Tensor]:
        """Zeros in the form of the blocks."""
        return [torch.zeros_like(block) for block in self.all]


def _zeros(like: Tensor, runs: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Memory as a vector, and `(runs, count, *shape)` in it, the runs' tensors of one place side by side."""
    stride = -(-like.numel() // ALIGNMENT) * ALIGNMENT
    memory = torch.zeros(count * runs * stride, dtype=like.dtype, device=device)
    block = memory.view(count, runs, stride).transpose(0, 1)
    return memory, block[..., : like.numel()].unflatten(2, like.shape) if like.ndim else block[..., 0]


@torch.no_grad()
def side_by_side_(parameters: Iterable[nn.Parameter]) -> None:
    """Move the values of the parameters, unchanged, into one block of memory per shape."""
    moved = list(parameters)
    places = Blocks(moved, 1, moved[0].device).of_run(0) if moved else []
    for parameter, place in zip(moved, places, strict=True):
        parameter.data = place.copy_(parameter)


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


def modules_of(model: nn.Module, template: nn.Module) -> dict[nn.Module, nn.Module]:
    """The module of `model` for each of `template`, by path."""
    return {module: model.get_submodule(path) for path, module in template.named_modules()}


def gathered(numbers: Sequence[float], device: torch.device) -> Number:
    """One number for each run: as it is for a run alone, else `(runs,)` in float64."""
    if len(numbers) == 1:
        return float(numbers[0])
    return torch.tensor(numbers, dtype=torch.float64, device=device)


def along_runs(number: Number, tensor: Tensor) -> Tensor:
    """The number of each run in a form that multiplies a tensor `(runs, ...)`."""
    if isinstance(number, float):
        return torch.tensor(number, dtype=tensor.dtype, device=tensor.device)
    return number.to(tensor.dtype).view(-1, *[1] * (tensor.ndim - 1))


def scale_(tensors: Sequence[Tensor], factor: Number) -> None:
    """Multiply tensors `(runs, ...)` by the factor of each run, in place."""
    if isinstance(factor, float):
        torch._foreach_mul_(list(tensors), factor)
        return
    for tensor in tensors:
        tensor.mul_(along_runs(factor, tensor))


def add_(tensors: Sequence[Tensor], others: Sequence[Tensor], factor: Number) -> None:
    """Add to tensors `(runs, ...)` the others times the factor of each run, in place."""
    if isinstance(factor, float):
        torch._foreach_add_(list(tensors), list(others), alpha=factor)
        return
    for tensor, other in zip(tensors, others, strict=True):
        tensor.addcmul_(other, along_runs(factor, tensor))
