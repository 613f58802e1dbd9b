"""A diagnosis while training goes on: quick enough to be asked for at every logged step."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from vanishgrad.diagnosis.diagnose import examine
from vanishgrad.diagnosis.finding import Diagnosis
from vanishgrad.diagnosis.layers import MEASURED, Floats, Matrices, matrices_of, values_of
from vanishgrad.diagnosis.record import DeadUnits, Record, RecordedSetting, ThroughTime
from vanishgrad.diagnosis.tables import time_course
from vanishgrad.records import GRADIENT_COLUMNS, METRIC_COLUMNS, Baseline, Cell

STEP = GRADIENT_COLUMNS.index("step")
EVALUATED = METRIC_COLUMNS.index("val_loss")
Rows = Sequence[Sequence[Cell]]


class OnlineDiagnosis:
    """The rows of a run as they come, and what they say so far. Knows neither pandas nor torch.

        watch = OnlineDiagnosis(setting)
        watch.add(gradient_rows, metric_rows)  # at every logged step
        watch.diagnosis()

    Of long runs it keeps the first logged step, the latest, and evenly spaced ones between.

    Arguments:
        setting: what is trained, as run.json has it under `effective`; None for a foreign model.
        baseline: as in run.json.
        most_steps: logged steps, and rows of metrics, that are kept at most.
        answers, fitting: as in run.json; a monitor measures `act.bounded`.
    """

    def __init__(
        self,
        setting: Mapping[str, Any] | None = None,
        baseline: Mapping[str, Any] | None = None,
        most_steps: int = 256,
        answers: Mapping[str, bool] | None = None,
        fitting: Collection[str] | None = None,
    ) -> None:
        self.setting = RecordedSetting(setting or {}, answers or {}, fitting)
        self.baseline = Baseline.read(baseline)
        self.most_steps = most_steps
        self._matrices: Matrices | None = None
        self._weights: Floats = np.empty(0)
        self._steps: list[int] = []
        self._measured: list[Floats] = []
        self._metrics: list[Floats] = []
        self._time: list[ThroughTime] = []
        self._dead: list[tuple[int, Floats, Floats]] = []

    def add(
        self, gradients: Rows, metrics: Rows = (), time_gradients: Rows = (), dead_units: Rows = ()
    ) -> None:
        """Take the rows of one step, cells in the order of the files' columns.

        Arguments:
            gradients: of gradients.csv; none at a step that was only evaluated.
            metrics: of metrics.csv.
            time_gradients, dead_units: of those files.
        """
        if gradients:
            self._take(gradients)
        self._metrics += [np.array(row, dtype=np.float64) for row in metrics]
        if time_gradients:
            step, _, t, norm, cell = np.array(time_gradients, dtype=np.float64).T
            self._time.append(time_course(step.astype(np.int64), t.astype(np.int64), norm, cell))
        if dead_units:
            step, _, units, fraction = np.array(dead_units, dtype=np.float64).T
            self._dead.append((int(step[0]), fraction, units))
        self._thin()

    def diagnosis(self, status: str = "running", diverged_at: Mapping[str, Any] | None = None) -> Diagnosis:
        """What is wrong so far; the arguments as in run.json."""
        if not self._steps:
            return Diagnosis()
        return examine(self.record(status, diverged_at))

    def record(self, status: str = "running", diverged_at: Mapping[str, Any] | None = None) -> Record:
        """What the rules look at."""
        assert self._matrices is not None
        metrics = np.array(self._metrics).T if self._metrics else np.empty((len(METRIC_COLUMNS), 0))
        return Record(
            np.array(self._steps, dtype=np.int64), self._matrices.layers, np.stack(self._measured),
            dict(zip(METRIC_COLUMNS, metrics, strict=True)), self.setting, status, diverged_at, self.baseline,
            self._through_time(), self._dead_units(),
        )  # fmt: skip

    def _take(self, rows: Rows) -> None:
        values = values_of(rows)
        if self._matrices is None:
            self._matrices = matrices_of(rows)
            self._weights = values[:, MEASURED.index("weight_norm")]
        self._steps.append(int(rows[0][STEP] or 0))
        self._measured.append(self._matrices.by_layer(values[None], self._weights)[0])

    def _thin(self) -> None:
        """Drop every second step when there are too many."""
        if len(self._steps) > self.most_steps:
            kept = _halved(len(self._steps))
            self._steps = [self._steps[place] for place in kept]
            self._measured = [self._measured[place] for place in kept]
        if len(self._metrics) > 2 * self.most_steps:
            self._metrics = [self._metrics[place] for place in _halved(len(self._metrics))]
        if len(self._time) > self.most_steps:
            self._time = [self._time[place] for place in _halved(len(self._time))]

    def _through_time(self) -> ThroughTime | None:
        if not self._time:
            return None
        steps, falls, cells, lengths = zip(*self._time, strict=True)
        return ThroughTime(np.concatenate(steps), np.concatenate(falls), np.concatenate(cells), max(lengths))

    def _dead_units(self) -> DeadUnits | None:
        if not self._dead:
            return None
        steps, fractions, units = zip(*self._dead, strict=True)
        return DeadUnits(np.array(steps), np.stack(fractions), np.stack(units))


def _halved(count: int) -> list[int]:
    """Every second place from the first, and the last."""
    return [*range(0, count - 1, 2), count - 1]
