"""Tables of a run -> its record."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from vanishgrad.diagnosis.layers import Floats, Ints, fitted_falls, measured
from vanishgrad.diagnosis.record import DeadUnits, Record, RecordedSetting, ThroughTime
from vanishgrad.errors import require
from vanishgrad.records import METRIC_COLUMNS, Baseline
from vanishgrad.rows import Columns

if TYPE_CHECKING:
    import pandas as pd

    Rows: TypeAlias = "pd.DataFrame | Columns"  # of one of a run's tables


def record_of(
    gradients: Rows,
    metrics: Rows | None = None,
    *,
    setting: Mapping[str, Any] | None = None,
    status: str = "completed",
    diverged_at: Mapping[str, Any] | None = None,
    baseline: Mapping[str, Any] | None = None,
    time_gradients: Rows | None = None,
    dead_units: Rows | None = None,
    answers: Mapping[str, bool] | None = None,
    fitting: Collection[str] | None = None,
) -> Record:
    """The record of a run; see `diagnose` for the arguments."""
    for name in ("step", "layer"):
        require(name in gradients, f"gradients: has no column {name}; it needs those of gradients.csv")
    steps, layers, values = measured(gradients)
    return Record(
        steps, layers, values, _metrics(metrics), RecordedSetting(setting or {}, answers or {}, fitting),
        status, diverged_at, Baseline.read(baseline), _through_time(time_gradients), _dead_units(dead_units),
    )  # fmt: skip


def time_course(step: Ints, t: Ints, norm: Floats, cell: Floats) -> ThroughTime:
    """From rows of time_gradients.csv, all layers together: a stack hands its gradient on through them."""
    steps, times = np.unique(step), np.unique(t)
    row, column = np.searchsorted(steps, step), np.searchsorted(times, t)
    shape = len(steps), len(times)
    falls, cells = (fitted_falls(times, _together(values, row, column, shape)) for values in (norm, cell))
    return ThroughTime(steps, falls, cells, len(times))


def _together(values: Floats, row: Ints, column: Ints, shape: tuple[int, int]) -> Floats:
    """The root of the sum of squares of all layers, `(steps, times)`; scaled against under- and overflow."""
    scale = np.full(shape, np.nan)
    np.fmax.at(scale, (row, column), values)
    scale = np.where((scale > 0) & np.isfinite(scale), scale, 1.0)
    total, known = np.zeros(shape), np.zeros(shape, dtype=bool)
    np.add.at(total, (row, column), np.nan_to_num(values / scale[row, column], posinf=np.inf) ** 2)
    np.logical_or.at(known, (row, column), ~np.isnan(values))
    return np.where(known, np.sqrt(total) * scale, np.nan)


def through_layers(rows: Rows, column: str) -> tuple[Ints, Ints, Floats]:
    """A norm in time_gradients.csv of all layers together: steps, times and norms, `(steps, times)`."""
    step, t = np.asarray(rows["step"], np.int64), np.asarray(rows["t"], np.int64)
    steps, times = np.unique(step), np.unique(t)
    row, place = np.searchsorted(steps, step), np.searchsorted(times, t)
    values = np.asarray(rows[column], np.float64)
    return steps, times, _together(values, row, place, (len(steps), len(times)))


def _metrics(metrics: Rows | None) -> dict[str, Floats]:
    if metrics is None:
        return {}
    return {name: np.asarray(metrics[name], np.float64) for name in METRIC_COLUMNS if name in metrics}


def _through_time(rows: Rows | None) -> ThroughTime | None:
    if rows is None or not len(rows):
        return None
    return time_course(
        np.asarray(rows["step"], np.int64), np.asarray(rows["t"], np.int64),
        np.asarray(rows["grad_norm"], np.float64), np.asarray(rows["cell_grad_norm"], np.float64),
    )  # fmt: skip


def _dead_units(rows: Rows | None) -> DeadUnits | None:
    if rows is None or not len(rows):
        return None
    step, layer = np.asarray(rows["step"], np.int64), np.asarray(rows["layer"], np.int64)
    steps, layers = np.unique(step), np.unique(layer)
    place = np.searchsorted(steps, step), np.searchsorted(layers, layer)
    table = np.full((2, len(steps), len(layers)), np.nan)
    for values, column in zip(table, ("dead_fraction", "units"), strict=True):
        values[place] = np.asarray(rows[column], np.float64)
    return DeadUnits(steps, *table)
