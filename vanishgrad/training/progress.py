"""What a run tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vanishgrad.training.pretraining import LayerEpoch


@dataclass(frozen=True)
class Progress:
    """The state of a run after a step.

    `loss` is the batch's; `accuracy` (held-out) and `grad_norm` (global, before clipping) are the last known.
    """

    step: int
    total: int
    loss: float
    accuracy: float | None
    grad_norm: float | None


Observer = Callable[[Progress | LayerEpoch], None]
