"""One run folder in memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from vanishgrad.diagnosis import Diagnosis, diagnose
from vanishgrad.diagnosis.layers import When, moment
from vanishgrad.records import GRADIENTS_FILE
from vanishgrad.report.extras import EXTRAS, Condensed, condensed, read_sample

SAMPLE_LENGTH = 600  # characters


class Baseline(NamedTuple):
    """What an answer that ignores the input scores, `metric` being val_loss or val_accuracy."""

    metric: str
    value: float
    source: str


@dataclass(frozen=True, eq=False)
class SavedRun:
    """One run folder in memory.

    `gradients`: one row per logged step and layer. `metrics`: one row per logged or evaluated step.
    `most_steps`: how many logged steps of the other tables are kept; None: all.
    """

    folder: Path
    record: dict[str, Any]
    gradients: pd.DataFrame
    metrics: pd.DataFrame
    most_steps: int | None = None

    @property
    def status(self) -> str:
        return str(self.record.get("status", "unknown"))

    @property
    def seed(self) -> int | None:
        return self.record.get("seed")

    @property
    def choices(self) -> dict[str, Any]:
        return self.record.get("choices") or {}

    @property
    def overrides(self) -> list[str]:
        return self.record.get("overrides") or []

    @property
    def name(self) -> str:
        """The user's name for the run; without a recorded setting, the folder's."""
        given = self.choices.get("name") or self.record.get("name")
        return str(given or ("" if self.choices else self.folder.name))

    @property
    def baseline(self) -> Baseline | None:
        """What ignorance scores on the run's data, where that is known."""
        given = self.record.get("baseline")
        if not isinstance(given, dict) or "metric" not in given or given.get("value") is None:
            return None
        return Baseline(str(given["metric"]), float(given["value"]), str(given.get("source") or ""))

    def baseline_of(self, metric: str) -> float:
        """The baseline's value in `metric`; NaN where there is none."""
        found = self.baseline
        return found.value if found is not None and found.metric == metric else float("nan")

    def extra(self, name: str) -> pd.DataFrame:
        """One of the tables of `extras`, read when it is first asked for; empty where it cannot be read."""
        return self._condensed(name).table

    @property
    def broken_extras(self) -> tuple[str, ...]:
        """Why some of them could not be read."""
        found = (self._condensed(name).broken for name in EXTRAS)
        return tuple(reason for reason in found if reason is not None)

    @property
    def sample_start(self) -> str:
        """How the text sampled from the trained network begins; empty where there is none."""
        return read_sample(self.folder, SAMPLE_LENGTH)

    def moment(self, column: str, when: When) -> pd.DataFrame:
        """Rows of `gradients` at the first step at which `column` exists, or the last one that is finite."""
        if (column, when) not in self._moments:
            self._moments[column, when] = moment(self.gradients, column, when)
        return self._moments[column, when]

    @cached_property
    def signal(self) -> str:
        """The column that tells how gradients pass: dLoss/dz, or dLoss/dW where nothing else was measured."""
        return "delta_norm" if self.gradients["delta_norm"].notna().any() else "grad_norm"

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """What is wrong with it, from its tables."""
        return diagnose(
            self.gradients, self.metrics, setting=self.record.get("effective") or self.choices,
            status=self.status, diverged_at=self.record.get("diverged_at"),
            baseline=self.record.get("baseline"), time_gradients=self.extra("time_gradients"),
            dead_units=self.extra("dead_units"),
        )  # fmt: skip

    @property
    def steps(self) -> int:
        """The last step in its tables."""
        return int(max(table["step"].max() for table in (self.gradients, self.metrics) if len(table)))

    @property
    def cut_short(self) -> str | None:
        """What is missing of a completed run; training always logs its last step, a monitor need not."""
        last, steps = int(self.gradients["step"].max()), self.record.get("steps")
        if self.status != "completed" or not self.choices or not isinstance(steps, int) or last >= steps:
            return None
        return f"{GRADIENTS_FILE} ends at step {last} of {steps}"

    def _condensed(self, name: str) -> Condensed:
        if name not in self._extras:
            self._extras[name] = condensed(self.folder, name, self.most_steps)
        return self._extras[name]

    @cached_property
    def _moments(self) -> dict[tuple[str, When], pd.DataFrame]:
        """What was asked for until now."""
        return {}

    @cached_property
    def _extras(self) -> dict[str, Condensed]:
        """What was asked for until now."""
        return {}
