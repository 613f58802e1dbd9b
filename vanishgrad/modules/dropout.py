"""Dropout whose noise depends on the run's seed, the layer and the step alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vanishgrad.streams import stream


class SeededDropout(nn.Module):
    """Sets elements to 0 with probability `rate` while training, and divides the others by 1 - rate.

    The mask of the n-th call comes from a stream of its own, so that noise is the same whatever else a
    run draws, can be drawn again for a recomputed segment, and continues after a checkpoint.
    """

    def __init__(self, rate: float, seed: int, layer: int) -> None:
        super().__init__()
        self.rate, self.seed, self.layer = rate, seed, layer
        self.calls = 0

    def get_extra_state(self) -> int:
        return self.calls

    def set_extra_state(self, state: int) -> None:
        self.calls = state

    def forward(self, x: Tensor) -> Tensor:
        return x * self.noise(x) if self.training and self.rate else x

    def noise(self, x: Tensor) -> Tensor:
        """The factors of the next call, 0 or 1 / (1 - rate), for what looks like `x`."""
        generator = stream(self.seed, "dropout", self.layer, self.calls)
        self.calls += 1
        mask = torch.empty(x.shape, dtype=x.dtype).bernoulli_(1 - self.rate, generator=generator)
        return mask.to(x.device).div_(1 - self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate}"


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Inside, `model` evaluates and no graph is built; afterwards it is in the mode that it was in."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Running statistics and noise counters are afterwards what they were before; weights are left alone.

    Values are put back in place, for those of a stack's networks lie in memory that they share. `replay` may
    not touch them, since it runs in the middle of a backward pass that has saved them.
    """
    weights = {name for name, _ in model.named_parameters()}
    kept = {name: deepcopy(value) for name, value in model.state_dict().items() if name not in weights}
    try:
        yield
    finally:
        model.load_state_dict(kept, strict=False)


@contextmanager
def replay(*modules: nn.Module) -> Iterator[None]:
    """Inside, a forward pass of `modules` repeats their last one in training mode.

    Dropout draws the same noise again, and running statistics do not count the batch a second time.
    """
    inner = [module for outer in modules for module in outer.modules()]
    for module in inner:
        if isinstance(module, SeededDropout) and module.training:
            module.calls -= 1
    norms = [module for module in inner if isinstance(module, _BatchNorm)]
    statistics = [dict(norm.named_buffers(recurse=False)) for norm in norms]
    for norm, buffers in zip(norms, statistics, strict=True):
        # others in their place: without any, a recomputed segment saves fewer tensors than the first time
        _put(norm, {name: buffer.clone() for name, buffer in buffers.items()})
    try:
        yield
    finally:
        for norm, buffers in zip(norms, statistics, strict=True):
            _put(norm, buffers)


def _put(module: nn.Module, buffers: dict[str, Tensor]) -> None:
    for name, buffer in buffers.items():
        setattr(module, name, buffer)
