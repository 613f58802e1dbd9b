"""Dropout whose noise depends on the run's seed, the layer and the step alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
