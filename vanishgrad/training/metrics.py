"""What is known of how well a run does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from vanishgrad.training.evaluate import Score

Numbers = dict[str, float | None]


class Metrics:
    """The last known metrics, and all that were known at the evaluation with the lowest held-out loss."""

    def __init__(self) -> None:
        self.last: Numbers = {}
        self.best: Numbers = {}
        self._lowest = math.inf

    @property
    def summary(self) -> dict[str, Numbers]:
        """The entry of run.json."""
        return {"final": self.last, "best": self.best}

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"last": self.last, "best": self.best, "lowest": self._lowest}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what another process knew."""
        self.last, self.best, self._lowest = state["last"], state["best"], state["lowest"]

    def trained(self, **numbers: float | None) -> None:
        """A step was done."""
        self.last = self.last | numbers

    def evaluated(self, score: Score, beside: Mapping[str, float]) -> None:
        """The held-out split was evaluated; `beside` is what follows from the score, under other names."""
        loss, accuracy = score
        self.last = {**self.last, "val_loss": loss, "val_accuracy": accuracy, **beside}
        if loss < self._lowest:
            self._lowest, self.best = loss, self.last
