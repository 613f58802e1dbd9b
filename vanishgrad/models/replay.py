"""Repeating a forward pass with the same outcome."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
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
    tracking = [norm.track_running_stats for norm in norms]
    for norm in norms:
        norm.track_running_stats = False  # in training mode: batch statistics all the same, nothing updated
    try:
        yield
    finally:
        for norm, tracked in zip(norms, tracking, strict=True):
            norm.track_running_stats = tracked
