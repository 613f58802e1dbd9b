"""Repeating a forward pass with the same outcome."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from vanishgrad.models.dropout import SeededDropout


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
