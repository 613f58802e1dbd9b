"""The few things that claims do with tables: a number per seed, and moments, layers and fits in the rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from vanishgrad.diagnosis.layers import gradient_slope
from vanishgrad.report.labels import typed_value

OfRun = Callable[[pd.DataFrame], float]
LAST_HIDDEN = -2  # for `in_layer`


def per_seed(rows: pd.DataFrame, number: OfRun) -> list[float]:
    """`number` of the rows of each seed, in the order of the seeds."""
    return [float(number(own)) for _, own in rows.groupby("seed")]


def by_condition(rows: pd.DataFrame, keys: str | Sequence[str], number: OfRun) -> dict[str, list[float]]:
    """`per_seed` of each value of `keys`, by names such as `act=relu` or `act=relu norm=none`.

    >>> rows = pd.DataFrame({"act": ["relu", "tanh", "relu"], "seed": [0, 0, 1], "loss": [0.5, 0.25, 0.75]})
    >>> by_condition(rows, "act", lambda run: run["loss"].iloc[0])
    {'act=relu': [0.5, 0.75], 'act=tanh': [0.25]}
    """
    names = [keys] if isinstance(keys, str) else list(keys)
    return {
        " ".join(f"{name}={typed_value(value)}" for name, value in zip(names, values, strict=True)): per_seed(
            own, number
        )
        for values, own in rows.groupby(names, sort=False)
    }


def where(rows: pd.DataFrame, **values: object) -> pd.DataFrame:
    """The rows with these values; `init_sigma_w=1` stands for the column `init.sigma_w`.

    >>> rows = pd.DataFrame({"act": ["relu", "tanh"], "init.std": [0.1, 0.2]})
    >>> len(where(rows, act="relu", init_std=0.1))
    1
    """
    for name, value in values.items():
        column = name if name in rows else name.replace("_", ".", 1)
        rows = rows[rows[column] == value]
    return rows


def at_first(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the initial network."""
    return rows[rows["step"] == 0]


def at_last(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of each run's last logged step."""
    return rows[rows["step"] == rows.groupby("run")["step"].transform("max")]


def in_layer(rows: pd.DataFrame, column: str, layer: int) -> float:
    """A column's value in a layer of one run at one step; -1 is the output layer, -2 the last hidden one."""
    layers = np.sort(rows["layer"].unique())
    wanted = layers[layer] if layer < 0 else layer
    return float(rows.loc[rows["layer"] == wanted, column].iloc[0])


def ratio(upper: float, lower: float) -> float:
    """`upper / lower`; infinite over an exact zero, NaN for zero over zero.

    >>> ratio(3.0, 2.0), ratio(1.0, 0.0)
    (1.5, inf)
    """
    return upper / lower if lower else float("inf") if upper > 0 else float("nan")


def held_out_accuracy(summary: pd.DataFrame) -> float:
    """What one run reached on the held-out data; NaN for one without a number."""
    return float(summary["final_val_accuracy"].iloc[0])


def gained(summary: pd.DataFrame, key: str, depths: tuple[int, int]) -> dict[str, list[float]]:
    """Accuracy at the first of two depths minus that at the second, by seed, for each value of `key`."""
    reached = summary.set_index([key, "depth", "seed"])["final_val_accuracy"]
    more, less = depths
    return {
        f"{key}={value}": (reached[value, more] - reached[value, less]).sort_index().tolist()
        for value in dict.fromkeys(summary[key])
    }


def relabel(rows: pd.DataFrame, setting: str) -> pd.DataFrame:
    """The rows as runs of a setting with this name, which can be drawn with those of other sweeps."""
    return rows.assign(setting=setting, run=f"{setting} " + rows["run"].astype(str))


def hidden(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of the hidden layers, which are those below the last."""
    return rows[rows["layer"] < rows["layer"].max()]


def decades_lost(rows: pd.DataFrame) -> float:
    """Decades by which the gradient norm shrinks from the last hidden layer to the first, of one run."""
    norms = hidden(rows)["delta_norm"].to_numpy(float)
    return float(np.log10(ratio(norms[-1], norms[0])))


class Fit(NamedTuple):
    """A straight line through logarithms.

    Arguments:
        slope: in decades per layer; positive: gradients shrink towards the input.
        r_squared: the share of the variance that it explains.
    """

    slope: float
    r_squared: float


def log_fit(rows: pd.DataFrame, column: str = "delta_norm") -> Fit:
    """Of log10 of `column` over the hidden layers of one run at one step."""
    inner = hidden(rows)
    slope = gradient_slope(rows["layer"], rows[column])
    log = np.log10(inner[column].to_numpy(float))
    line = slope * (inner["layer"] - inner["layer"].mean()).to_numpy(float) + log.mean()
    return Fit(slope, 1 - float(((log - line) ** 2).sum() / ((log - log.mean()) ** 2).sum()))


def steps_to(metrics: pd.DataFrame, column: str, threshold: float) -> float:
    """The first step of a run at which `column` has come up to `threshold`; infinite if it never has."""
    reached = metrics.loc[metrics[column] >= threshold, "step"]
    return float(reached.min()) if len(reached) else float("inf")


def last_value(metrics: pd.DataFrame, column: str) -> float:
    """The last value of a column in a run that is not NaN; NaN where there is none."""
    values = metrics.sort_values("step")[column].dropna()
    return float(values.iloc[-1]) if len(values) else float("nan")


def dead_share(rows: pd.DataFrame) -> float:
    """The fraction of the units of all hidden layers that are dead, in one run at one step."""
    return float(np.average(rows["dead_fraction"], weights=rows["units"]))


def label_by(rows: pd.DataFrame, *keys: str) -> pd.DataFrame:
    """The rows with `setting` made of these keys alone, such as `norm=batch lr=0.1`."""
    parts = [key + "=" + rows[key].map(typed_value) for key in keys]
    return rows.assign(setting=[" ".join(row) for row in zip(*parts, strict=True)])
