"""A pass that only looks: what training mode changes in a network is put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

from torch import nn


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Running statistics and noise counters are afterwards what they were before; weights are left alone."""
    weights = {name for name, _ in model.named_parameters()}
    kept = {name: deepcopy(value) for name, value in model.state_dict().items() if name not in weights}
    try:
        yield
    finally:
        model.load_state_dict(kept, strict=False)
