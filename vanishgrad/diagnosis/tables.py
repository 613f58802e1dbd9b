"""DataFrames of a run -> its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vanishgrad.diagnosis.layers import MEASURED, Floats, Ints, Matrices, fitted_falls
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
) -> Record:
    """The record of a run; see `diagnose` for the arguments."""
    for name in ("step", "layer"):
        require(name in gradients, f"gradients: has no column {name}; it needs those of gradients.csv")
    steps, layers, measured = _measured(gradients)
    return Record(
        steps, layers, measured, _metrics(metrics), RecordedSetting(setting or {}), status, diverged_at,
        baseline_of(baseline), _through_time(time_gradients), _dead_units(dead_units),
    )  # fmt: skip


def baseline_of(given: Mapping[str, Any] | None) -> Baseline | None:
    """The entry `baseline` of run.json."""
    if not given or given.get("value") is None or given.get("metric") not in METRIC_COLUMNS:
        return None
    return Baseline(str(given["metric"]), float(given["value"]), str(given.get("source") or ""))


def through_time(step: Ints, t: Ints, norm: Floats, cell: Floats) -> ThroughTime:
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


def _measured(rows: pd.DataFrame) -> tuple[Ints, Ints, Floats]:
    """Steps, layers and `(steps, layers, columns)`."""
    step = rows["step"].to_numpy(np.int64)
    if (np.diff(step) < 0).any():
        rows = rows.iloc[np.argsort(step, kind="stable")]
        step = rows["step"].to_numpy(np.int64)
    layer = rows["layer"].to_numpy(np.int64)
    names = rows["name"].to_numpy(str) if _needs_names(rows, step, layer) else np.full(len(rows), "")
    values = np.full((len(rows), len(MEASURED)), np.nan)
    for place, column in enumerate(MEASURED):
        if column in rows:
            values[:, place] = rows[column].to_numpy(np.float64)
    steps = step[np.diff(step, prepend=-1) > 0]
    if not steps.size:
        return steps, np.empty(0, dtype=np.int64), values[None][:0]
    table, matrices = _regular(step, layer, names, values) or _irregular(steps, step, layer, names, values)
    weights = table[0, :, MEASURED.index("weight_norm")]
    return steps, matrices.layers, matrices.by_layer(table, weights)


def _needs_names(rows: pd.DataFrame, step: Ints, layer: Ints) -> bool:
    """Whether some layer has several matrices; text takes longer to read than all numbers together."""
    rising = (np.diff(layer) > 0) | (np.diff(step) > 0)
    return "name" in rows and not rising.all()


def _regular(step: Ints, layer: Ints, names: Any, values: Floats) -> tuple[Floats, Matrices] | None:
    """The usual case: the same rows in the same order at every step."""
    size = int((step == step[0]).sum())
    if len(step) % size or (step.reshape(-1, size) != step[::size, None]).any():
        return None
    shape = -1, size
    if (np.diff(step[::size]) <= 0).any() or (layer.reshape(shape) != layer[:size]).any():
        return None
    if (names.reshape(shape) != names[:size]).any():
        return None
    return values.reshape(-1, size, len(MEASURED)), Matrices(
        tuple(layer[:size].tolist()), _known(names[:size])
    )


def _irregular(steps: Ints, step: Ints, layer: Ints, names: Any, values: Floats) -> tuple[Floats, Matrices]:
    """Rows that come and go: what is not there at a step is NaN."""
    keys = list(dict.fromkeys(zip(layer.tolist(), names.tolist(), strict=True)))
    place = {key: number for number, key in enumerate(keys)}
    table = np.full((len(steps), len(keys), len(MEASURED)), np.nan)
    column = [place[key] for key in zip(layer.tolist(), names.tolist(), strict=True)]
    table[np.searchsorted(steps, step), column] = values
    return table, Matrices(tuple(key[0] for key in keys), _known(np.array([key[1] for key in keys])))


def _known(names: Any) -> tuple[str, ...]:
    return tuple(names.tolist()) if (names != "").all() else ()


def _metrics(metrics: pd.DataFrame | None) -> dict[str, Floats]:
    if metrics is None:
        return {}
    return {name: metrics[name].to_numpy(np.float64) for name in METRIC_COLUMNS if name in metrics}


def _through_time(rows: pd.DataFrame | None) -> ThroughTime | None:
    if rows is None or rows.empty:
        return None
    return through_time(
        rows["step"].to_numpy(np.int64), rows["t"].to_numpy(np.int64),
        rows["grad_norm"].to_numpy(np.float64), rows["cell_grad_norm"].to_numpy(np.float64),
    )  # fmt: skip


def _dead_units(rows: pd.DataFrame | None) -> DeadUnits | None:
    if rows is None or rows.empty:
        return None
    table = rows.pivot_table(index="step", columns="layer", values=["dead_fraction", "units"])
    steps = table.index.to_numpy(np.int64)
    return DeadUnits(steps, table["dead_fraction"].to_numpy(float), table["units"].to_numpy(float))
