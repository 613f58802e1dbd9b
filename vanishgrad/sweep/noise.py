"""Dropout in a stack: every run draws the noise that it would draw alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vanishgrad.models.dropout import SeededDropout


class StackedDropout:
    """Computes what a dropout does in a model that `torch.vmap` calls for all runs at once.

    Arguments:
        own: the dropout modules of the runs, which count their calls.
    """

    def __init__(self, own: Sequence[SeededDropout]) -> None:
        self._own = tuple(own)

    def __call__(self, x: Tensor) -> Tensor:
        masked: Tensor = _Masked.apply(x, self._own)  # type: ignore[no-untyped-call]
        return masked


class _Masked(torch.autograd.Function):
    """x times a mask for each run; its rule for `vmap` is the only way it is called."""

    @staticmethod
    def forward(x: Tensor, own: Sequence[SeededDropout]) -> Tensor:
        raise NotImplementedError("is called for a stack of runs")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        return None

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, own: Sequence[SeededDropout]) -> tuple[Tensor, int]:
        stacked = x.movedim(in_dims[0], 0)
        pairs = zip(own, stacked, strict=True)
        masks = [one.noise(part) if one.rate else torch.ones_like(part) for one, part in pairs]
        return stacked * torch.stack(masks), 0


def share_noise(template: nn.Module, models: Sequence[nn.Module]) -> None:
    """Let every dropout of `template`, the network that is called, do what those of the runs do.

    The module stays in its place: a recurrent network keeps its dropouts in a list of its own too.
    """
    for path, part in template.named_modules():
        if isinstance(part, SeededDropout):
            own = [model.get_submodule(path) for model in models]
            dropouts = [dropout for dropout in own if isinstance(dropout, SeededDropout)]
            part.forward = StackedDropout(dropouts)  # type: ignore[method-assign]
