"""What a run leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from vanishgrad.description import describe
from vanishgrad.diagnosis import Diagnosis, diagnose
from vanishgrad.run import Run
from vanishgrad.training.provenance import baseline

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Result:
    """A finished run.

    Arguments:
        run: the setting that was trained.
        status: completed, or diverged.
        steps: updates done.
        diverged_at: None, or `{"step": ..., "layer": ..., "what": ...}`: where a number first was not finite.
        final: the last known metrics; best: those of the evaluation with the lowest held-out loss.
        gradients: gradients.csv as a DataFrame; metrics: metrics.csv.
        extra: the tables that not every run has, by file name without `.csv`: time_gradients, gates,
            residual_gradients, pretrain, dead_units, input_gradients, frames.
        model: the network as it was when the run ended.
        folder: the run folder, if one was written.
    """

    run: Run
    status: str
    steps: int
    seconds: float
    diverged_at: dict[str, Any] | None
    final: dict[str, float | None]
    best: dict[str, float | None]
    gradients: pd.DataFrame
    metrics: pd.DataFrame
    extra: dict[str, pd.DataFrame]
    model: nn.Module
    folder: Path | None

    @property
    def setting(self) -> dict[str, Any]:
        """What was trained, as run.json has it under `effective`."""
        return describe(self.run)

    @property
    def diagnosis(self) -> Diagnosis:
        """What is wrong with it."""
        return diagnose(
            self.gradients, self.metrics, setting=self.setting, status=self.status,
            diverged_at=self.diverged_at, baseline=baseline(self.run),
            time_gradients=self.extra.get("time_gradients"), dead_units=self.extra.get("dead_units"),
        )  # fmt: skip
