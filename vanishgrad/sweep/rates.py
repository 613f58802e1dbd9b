"""The learning rates of the runs in a stack."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vanishgrad.choices.schedule import Constant
from vanishgrad.run import Run
from vanishgrad.training.rate import rate_at


class Rates:
    """The rate of each run's update, by step.

    Arguments:
        runs: the settings.
        total: updates of each.
        device: where they compute.
    """

    def __init__(self, runs: Sequence[Run], total: int, device: torch.device) -> None:
        self._runs, self._total, self._device = runs, total, device
        steady = all(run.warmup == 0 and isinstance(run.schedule, Constant) for run in runs)
        self._always = self._at(0) if steady else None

    def __call__(self, step: int) -> Tensor:
        """`(runs,)` in float64, of the update after `step` updates."""
        return self._at(step) if self._always is None else self._always

    def _at(self, step: int) -> Tensor:
        rates = [rate_at(run, step, self._total) for run in self._runs]
        return torch.tensor(rates, dtype=torch.float64, device=self._device)
