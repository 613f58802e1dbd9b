"""Binary noise, and the bias that explains how often a unit is on."""

from __future__ import annotations

import torch
from torch import Tensor


def bernoulli(probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """1 with the given probability, else 0; drawn on the CPU, so that every device sees the same noise."""
    uniform = torch.rand(probabilities.shape, dtype=probabilities.dtype, generator=generator)
    return (uniform.to(probabilities.device) < probabilities).to(probabilities.dtype)


def log_odds(v: Tensor) -> Tensor:
    """log p/(1-p) of each unit's mean p over `v`, `(n, units) -> (units,)`.

    Half an example on and half a one off are added, which keeps units that never change finite.
    """
    on = v.sum(0) + 0.5
    return torch.log(on / (len(v) + 1 - on))
