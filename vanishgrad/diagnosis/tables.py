"""DataFrames of a run -> its record."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vanishgrad.diagnosis.layers import Floats, Ints, fitted_falls, measured
from vanishgrad.diagnosis.record import DeadUnits, Record, RecordedSetting, ThroughTime
from vanishgrad.errors import require
from vanishgrad.records import METRIC_COLUMNS, Baseline

if TYPE_CHECKING:
    import pandas as pd


def record_of(
    gradients: pd.DataFrame,
    metrics: pd.DataFrame | None = None,
    *,
    setting: Mapping[str, Any] | None = None,
    status: str = "completed",
    diverged_at: Mapping[str, Any] | None = None,
    baseline: Mapping[str, Any] | None = None,
    time_gradients: pd.DataFrame | None = None,
    dead_units: pd.DataFrame | None = None,
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


def _metrics(metrics: pd.DataFrame | None) -> dict[str, Floats]:
    if metrics is None:
        return {}
    return {name: metrics[name].to_numpy(np.float64) for name in METRIC_COLUMNS if name in metrics}


def _through_time(rows: pd.DataFrame | None) -> ThroughTime | None:
    if rows is None or rows.empty:
        return None
    return time_course(
        rows["step"].to_numpy(np.int64), rows["t"].to_numpy(np.int64),
        rows["grad_norm"].to_numpy(np.float64), rows["cell_grad_norm"].to_numpy(np.float64),
    )  # fmt: skip


def _dead_units(rows: pd.DataFrame | None) -> DeadUnits | None:
    if rows is None or rows.empty:
        return None
    table = rows.pivot_table(index="step", columns="layer", values=["dead_fraction", "units"])
    steps = table.index.to_numpy(np.int64)
    return DeadUnits(steps, table["dead_fraction"].to_numpy(float), table["units"].to_numpy(float))
