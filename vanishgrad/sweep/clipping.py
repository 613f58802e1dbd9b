"""Clipping in a stack: every run has a threshold of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vanishgrad.choices.clipping import AGC, ByNorm, ByValue
from vanishgrad.run import Run
from vanishgrad.sweep.storage import Blocks, along_runs, lengths


def total_norms(gradients: Blocks) -> Tensor:
    """The L2 norm of all gradients of each run, `(runs,)` in float64."""
    return torch.linalg.vector_norm(lengths(gradients.all), dim=0)


def clip_(runs: Sequence[Run], gradients: Blocks, values: Blocks, output: int) -> None:
    """Do to the gradients of each run what its `clip` does; those from `output` on are the output layer's.

    The runs have the same kind of clipping.
    """
    device = gradients.all[0].device
    match runs[0].clip:
        case ByNorm():
            largest = _numbers([run.clip.max_norm for run in runs if isinstance(run.clip, ByNorm)], device)
            _scale_(gradients, (largest / total_norms(gradients)).clamp(max=1.0).sqrt())
        case ByValue():
            largest = _numbers([run.clip.max_value for run in runs if isinstance(run.clip, ByValue)], device)
            for block in gradients.all:
                limit = along_runs(largest, block, 1)
                block.clamp_(-limit, limit)
        case AGC():
            factors = _numbers([run.clip.factor for run in runs if isinstance(run.clip, AGC)], device)
            pairs = zip(gradients.stacked[:output], values.stacked[:output], strict=True)
            for gradient, value in pairs:
                _shorten_units_(gradient, value, factors)


def _numbers(found: Sequence[float], device: torch.device) -> Tensor:
    return torch.tensor(found, dtype=torch.float64, device=device)


def _scale_(gradients: Blocks, roots: Tensor) -> None:
    """Multiply by the roots, twice: a factor under 1e-38 has few digits left in float32."""
    for block in gradients.all:
        for _ in range(2):
            block.mul_(along_runs(roots, block, 1))


def _shorten_units_(gradient: Tensor, value: Tensor, factors: Tensor) -> None:
    size = _unit_norms(gradient)
    limit = along_runs(factors, size, 0) * _unit_norms(value).clamp(min=1e-3)
    gradient.mul_(torch.where(size > limit, limit / size, 1.0).to(gradient.dtype))


def _unit_norms(stack: Tensor) -> Tensor:
    """As `choices.clipping.unit_norms`, for every run of `(runs, *shape)`."""
    axes = tuple(range(2, stack.ndim)) if stack[0].squeeze().ndim > 1 else tuple(range(1, stack.ndim))
    if not axes:  # a scalar of each run
        return stack.abs().double()
    return torch.linalg.vector_norm(stack, dim=axes, keepdim=True, dtype=torch.float64)
