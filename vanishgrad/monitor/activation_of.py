"""Which activation a model is made of, where it is one."""

from __future__ import annotations

from torch import nn

from vanishgrad.monitor.slopes import is_activation

OURS = {nn.LeakyReLU: "leaky_relu", nn.PReLU: "prelu"}  # the others are called as in lower case


def activation_of(model: nn.Module) -> str | None:
    """Its name as in `act=...`; None where the model has several, or none that is a module."""
    kinds = {type(part) for part in model.modules() if is_activation(part)} - {nn.Identity}
    return _name(kinds.pop()) if len(kinds) == 1 else None


def _name(kind: type[nn.Module]) -> str:
    return OURS.get(kind, kind.__name__.lower())
