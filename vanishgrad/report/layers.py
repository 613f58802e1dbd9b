"""Rows of gradients.csv -> one row per step and layer; the start and the end of a run."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import pandas as pd

NORMS = ("grad_norm", "bias_grad_norm", "delta_norm", "weight_norm")
AVERAGED = ("epoch", "act_mean", "act_std", "saturation", "dead_fraction")
CELL: list[Hashable] = ["step", "layer"]


def by_layer(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per step and layer of one run.

    Weight matrices of one layer are taken together as if they were one: norms and changes by the root of the
    sum of squares, activation statistics by the mean.
    """
    if not rows.duplicated(CELL).any():
        return rows.drop(columns="name", errors="ignore")
    total = pd.DataFrame({column: _root_sum_square(rows, rows[column]) for column in _has(rows, NORMS)})
    total = total.join(rows.groupby(CELL)[_has(rows, AVERAGED)].mean())
    weight = rows["weight_norm"]
    at_first = rows["step"] == rows["step"].min()
    weight_0 = rows["name"].map(rows[at_first].drop_duplicates("name").set_index("name")["weight_norm"])
    for column, scale in (("update_ratio", weight), ("weight_drift", weight_0)):
        if column in rows:
            total[column] = _root_sum_square(rows, rows[column] * scale) / _root_sum_square(rows, scale)
    return total.reset_index()[[column for column in rows if column != "name"]]


def thin(rows: pd.DataFrame, most_steps: int) -> pd.DataFrame:
    """Rows of at most about `most_steps` logged steps, always the first and the last.

    Strides are powers of two, so that runs of one length keep the same steps.
    """
    steps = np.unique(rows["step"])
    stride = 1
    while steps.size > stride * most_steps:
        stride *= 2
    kept = np.append(steps[::stride], steps[-1:])
    return rows[rows["step"].isin(kept)]


def at_start(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows of each run's first logged step at which `column` exists for a layer."""
    return _at(rows, column, last=False)


def at_end(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows of each run's last logged step at which `column` is finite for as many layers as it ever is.

    For a run that diverged this is the last step before the infinities.
    """
    return _at(rows, column, last=True)


def _at(rows: pd.DataFrame, column: str, *, last: bool) -> pd.DataFrame:
    if rows.empty:
        return rows
    finite = rows[np.isfinite(rows[column])].groupby(["run", "step"]).size().rename("finite").reset_index()
    if finite.empty:
        return rows.iloc[:0]
    if last:
        finite = finite[finite["finite"] == finite.groupby("run")["finite"].transform("max")]
    step = finite.groupby("run")["step"].agg("max" if last else "min")
    return rows[rows["step"] == rows["run"].map(step)]


def _has(rows: pd.DataFrame, columns: tuple[str, ...]) -> list[str]:
    return [column for column in columns if column in rows]


def _root_sum_square(rows: pd.DataFrame, values: pd.Series[float]) -> pd.Series[float]:
    """Per step and layer; scaled by the largest: 1e-200 squared would be 0, 1e200 squared infinite."""
    keys = [rows["step"], rows["layer"]]
    largest = values.groupby(keys).max()
    scale = largest.where((largest > 0) & np.isfinite(largest), 1.0)
    per_row = scale.reindex(pd.MultiIndex.from_arrays(keys)).to_numpy()
    square = (values / per_row) ** 2
    return square.groupby(keys).sum(min_count=1).pow(0.5) * scale
