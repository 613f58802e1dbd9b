"""Rows of gradients.csv -> one row per step and layer; the start and the end of a run."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from vanishgrad.diagnosis.matrices import GATE

NORMS = ("grad_norm", "bias_grad_norm", "delta_norm", "weight_norm")
AVERAGED = ("epoch", "act_mean", "act_std", "saturation", "dead_fraction")
When: TypeAlias = Literal["start", "end"]
CELL: list[Hashable] = ["step", "layer"]


def by_layer(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per step and layer of one run.

    Weight matrices of one layer are taken together as if they were one: norms and changes by the root of the
    sum of squares, activation statistics by the mean. Matrices whose outputs are added up to one z, those of
    a gate for the input and for the state, have one dLoss/dz, which counts once: see `_one_per_sum`.
    """
    if not rows.duplicated(CELL).any():
        return rows.drop(columns="name", errors="ignore")
    if "delta_norm" in rows:
        rows = rows.assign(delta_norm=_one_per_sum(rows))
    keys = [rows["step"], rows["layer"]]
    total = pd.DataFrame({column: root_sum_square(rows[column], keys) for column in _has(rows, NORMS)})
    total = total.join(rows.groupby(CELL)[_has(rows, AVERAGED)].mean())
    weight = rows["weight_norm"]
    at_first = rows["step"] == rows["step"].min()
    weight_0 = rows["name"].map(rows[at_first].drop_duplicates("name").set_index("name")["weight_norm"])
    for column, scale in (("update_ratio", weight), ("weight_drift", weight_0)):
        if column in rows:
            changed = root_sum_square(rows[column] * scale, keys)
            total[column] = changed / root_sum_square(scale, keys)
    return total.reset_index()[[column for column in rows if column != "name"]]


def thin(rows: pd.DataFrame, most_steps: int) -> pd.DataFrame:
    """Rows of at most about `most_steps` logged steps, always the first and the last.

    Strides are powers of two, so that runs of one length keep the same steps.
    """
    steps = np.unique(rows["step"])
    if steps.size <= most_steps:
        return rows
    stride = 1
    while steps.size > stride * most_steps:
        stride *= 2
    kept = np.append(steps[::stride], steps[-1:])
    return rows[rows["step"].isin(kept)]


def at_start(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows of each run's first logged step at which `column` exists for a layer."""
    return _at(rows, column, "start")


def at_end(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows of each run's last logged step at which `column` is finite for as many layers as it ever is.

    For a run that diverged this is the last step before the infinities.
    """
    return _at(rows, column, "end")


def root_sum_square(values: pd.Series[float], keys: list[pd.Series[int]]) -> pd.Series[float]:
    """Per group of `keys`; scaled by the largest: 1e-200 squared would be 0, 1e200 squared infinite."""
    largest = values.groupby(keys).max()
    scale = largest.where((largest > 0) & np.isfinite(largest), 1.0)
    per_row = scale.reindex(pd.MultiIndex.from_arrays(keys)).to_numpy()
    square = (values / per_row) ** 2
    return square.groupby(keys).sum(min_count=1).pow(0.5) * scale


def moment(rows: pd.DataFrame, column: str, when: When) -> pd.DataFrame:
    """`at_start` or `at_end` for the rows of a single run."""
    every = rows["step"].to_numpy()
    steps, layers = np.unique(every[np.isfinite(rows[column].to_numpy(float))], return_counts=True)
    if not steps.size:
        return rows.iloc[:0]
    return rows[every == (steps[0] if when == "start" else steps[layers == layers.max()][-1])]


def _at(rows: pd.DataFrame, column: str, when: When) -> pd.DataFrame:
    """`moment` of every run, without a pass per run: they are counted in one table of runs and steps."""
    if rows.empty:
        return rows
    run, at = pd.factorize(rows["run"])[0], pd.factorize(rows["step"], sort=True)[0]
    shape = int(run.max()) + 1, int(at.max()) + 1
    finite = np.isfinite(rows[column].to_numpy(float))
    layers = np.bincount(run * shape[1] + at, finite, shape[0] * shape[1]).reshape(shape)
    wanted = (layers > 0) & ((layers == layers.max(axis=1, keepdims=True)) | (when == "start"))
    place = wanted.argmax(axis=1) if when == "start" else shape[1] - 1 - wanted[:, ::-1].argmax(axis=1)
    return rows[wanted.any(axis=1)[run] & (at == place[run])]


def _has(rows: pd.DataFrame, columns: tuple[str, ...]) -> list[str]:
    return [column for column in columns if column in rows]


def _one_per_sum(rows: pd.DataFrame) -> pd.Series[float]:
    """delta_norm where a row has the largest of its gate, the same for `xi_1` and `hi_1`; NaN beside it.

    The largest: a reset gate between the state's matrix and the sum makes that matrix's own dLoss/dz smaller
    than the sum's.
    """
    gate = rows["name"].str.replace(GATE, r"\1", regex=True)
    largest = rows.groupby([rows["step"], rows["layer"], gate])["delta_norm"].transform("max")
    repeated = pd.DataFrame({"step": rows["step"], "layer": rows["layer"], "gate": gate}).duplicated()
    return largest.mask(repeated)
