"""Gradient clipping: what happens to the gradients between backward pass and optimizer, in place.

A rule is written once, for the runs of a stack; a run alone is a stack of one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from vanishgrad.errors import positive
from vanishgrad.modules.norms import stacked_norms
from vanishgrad.modules.packed import Blocks, Number, along_runs, scale_


class Clipping(Protocol):
    """Bounds the gradients of one step. A choice of your own inherits this and writes `clip_`.

    Attributes:
        varies: the numbers in which the runs of a stack may differ; a choice that names some writes
            `clip_runs_`, which is given them.
        clips: False where nothing is ever changed.
    """

    name: ClassVar[str]
    varies: ClassVar[tuple[str, ...]] = ()
    clips: ClassVar[bool] = True

    def clip_(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor], output: int) -> None:
        """Change the `gradients` of one run in place; those from index `output` on are the output layer's."""
        numbers = {name: float(getattr(self, name)) for name in self.varies}
        self.clip_runs_(Blocks.over(gradients), Blocks.over(parameters), output, numbers)

    def clip_runs_(
        self, gradients: Blocks, parameters: Blocks, output: int, numbers: Mapping[str, Number]
    ) -> None:
        """The same for all runs of a stack, one after the other unless a choice knows better.

        Arguments:
            gradients, parameters: of all runs.
            output: the position of the first tensor of the output layer.
            numbers: what `varies` names, of each run.
        """
        assert type(self).clip_ is not Clipping.clip_, f"{type(self).__name__} has no clip_"
        for row in range(gradients.runs):
            self.clip_(gradients.of_run(row), parameters.of_run(row), output)

    def largest_norm(self, elements: int) -> float:
        """The largest L2 norm that a clipped gradient of so many elements can have; infinity for no bound."""
        return math.inf


@dataclass(frozen=True)
class NoClip(Clipping):
    """Gradients stay as they are."""

    name: ClassVar[str] = "none"
    clips: ClassVar[bool] = False

    def clip_runs_(
        self, gradients: Blocks, parameters: Blocks, output: int, numbers: Mapping[str, Number]
    ) -> None:
        return None


@dataclass(frozen=True)
class ClipByNorm(Clipping):
    """All gradients scaled down together when their global L2 norm passes max_norm (Pascanu et al. 2013).

    Arguments:
        max_norm: the largest global norm.
    """

    max_norm: float = 1.0
    name: ClassVar[str] = "norm"
    varies: ClassVar[tuple[str, ...]] = ("max_norm",)

    def __post_init__(self) -> None:
        positive("clip.max_norm", self.max_norm)

    def clip_runs_(
        self, gradients: Blocks, parameters: Blocks, output: int, numbers: Mapping[str, Number]
    ) -> None:
        totals = torch.linalg.vector_norm(stacked_norms(gradients.all), dim=0)
        root = (numbers["max_norm"] / totals).clamp(max=1.0).sqrt()  # 0 / 0 cannot happen: max_norm > 0
        for _ in range(2):  # by the root, twice: a factor under 1e-38 has few digits left in float32
            scale_(gradients.all, root)

    def largest_norm(self, elements: int) -> float:
        return self.max_norm


@dataclass(frozen=True)
class ClipByValue(Clipping):
    """Every gradient element clamped to +-max_value (Mikolov 2012).

    Arguments:
        max_value: the largest element.
    """

    max_value: float = 0.1
    name: ClassVar[str] = "value"
    varies: ClassVar[tuple[str, ...]] = ("max_value",)

    def __post_init__(self) -> None:
        positive("clip.max_value", self.max_value)

    def clip_runs_(
        self, gradients: Blocks, parameters: Blocks, output: int, numbers: Mapping[str, Number]
    ) -> None:
        for block in gradients.all:
            limit = along_runs(numbers["max_value"], block)
            block.clamp_(-limit, limit)

    def largest_norm(self, elements: int) -> float:
        return self.max_value * math.sqrt(elements)


@dataclass(frozen=True)
class AGC(Clipping):
    """Adaptive gradient clipping, unit by unit (Brock et al. 2021, eq. 3).

    A unit's gradient is scaled down to `factor` times its weight norm (at least 1e-3) when it is larger.
    The output layer is left alone, as in the paper.

    Arguments:
        factor: largest ratio of gradient norm to weight norm.
    """

    factor: float = 0.01
    name: ClassVar[str] = "agc"
    varies: ClassVar[tuple[str, ...]] = ("factor",)

    def __post_init__(self) -> None:
        positive("clip.factor", self.factor)

    def clip_runs_(
        self, gradients: Blocks, parameters: Blocks, output: int, numbers: Mapping[str, Number]
    ) -> None:
        for gradient, parameter in zip(gradients.stacked[:output], parameters.stacked[:output], strict=True):
            size = unit_norms(gradient)
            limit = along_runs(numbers["factor"], size) * unit_norms(parameter).clamp(min=1e-3)
            gradient.mul_(torch.where(size > limit, limit / size, 1.0).to(gradient.dtype))


def unit_norms(stack: Tensor) -> Tensor:
    """L2 norm of each output unit's weights in each run, in float64 and kept broadcastable.

    Arguments:
        stack: `(runs, *shape)`; where `shape` is a vector's or a scalar's, all of it counts as one unit.
    """
    axes = tuple(range(2, stack.ndim)) if stack[0].squeeze().ndim > 1 else tuple(range(1, stack.ndim))
    if not axes:  # a scalar of each run
        return stack.abs().double()
    return torch.linalg.vector_norm(stack, dim=axes, keepdim=True, dtype=torch.float64)
