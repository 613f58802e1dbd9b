"""Gradient clipping: what happens to the gradients between backward pass and optimizer, in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from vanishgrad.errors import positive
from vanishgrad.modules.norms import total_norm


class Clipping(Protocol):
    """Bounds the gradients of one step."""

    name: ClassVar[str]
    varies: ClassVar[tuple[str, ...]] = ()

    def clip_(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor], output: int) -> None:
        """Change `gradients` in place; those from index `output` on belong to the output layer."""
        ...


@dataclass(frozen=True)
class NoClip(Clipping):
    """Gradients stay as they are."""

    name: ClassVar[str] = "none"

    def clip_(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor], output: int) -> None:
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

    def clip_(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor], output: int) -> None:
        total = total_norm(gradients)
        factor = (self.max_norm / total).clamp(max=1.0)  # 0 / 0 cannot happen: max_norm > 0
        root = factor.sqrt().to(gradients[0].dtype)
        for _ in range(2):  # by the root, twice: a factor under 1e-38 has few digits left in float32
            torch._foreach_mul_(list(gradients), root)


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

    def clip_(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor], output: int) -> None:
        torch._foreach_clamp_max_(list(gradients), self.max_value)
        torch._foreach_clamp_min_(list(gradients), -self.max_value)


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

    def clip_(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor], output: int) -> None:
        for gradient, parameter in zip(gradients[:output], parameters[:output], strict=True):
            limit = self.factor * unit_norms(parameter).clamp(min=1e-3)
            size = unit_norms(gradient)
            gradient.mul_(torch.where(size > limit, limit / size, 1.0).to(gradient.dtype))


def unit_norms(tensor: Tensor) -> Tensor:
    """L2 norm of each output unit's weights, kept broadcastable; vectors and scalars count as one unit."""
    axes = tuple(range(1, tensor.ndim)) if tensor.squeeze().ndim > 1 else tuple(range(tensor.ndim))
    return torch.linalg.vector_norm(tensor, dim=axes, keepdim=True, dtype=torch.float64)
