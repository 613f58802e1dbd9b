"""What a column of panels shows, and one line of it: the middle and the band over seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from vanishgrad.report.figures.canvas import loggable

MANY_DECADES = 30.0


@dataclass(frozen=True, eq=False)
class View:
    """One column of panels: `y` over `x` in the rows of `frame`.

    `log`: a log axis for y; None: where the values span more than a factor of 30.
    """

    frame: pd.DataFrame
    x: str
    y: str
    title: str
    y_label: str
    log: bool | None = True

    @property
    def x_label(self) -> str:
        return "layer (1 = nearest the input)" if self.x == "layer" else "optimizer step"

    @property
    def is_log(self) -> bool:
        return spans_decades(self.frame[self.y]) if self.log is None else self.log

    @property
    def is_fraction(self) -> bool:
        """Whether the axis is that of a fraction, always from 0 to 1."""
        return self.y_label.startswith("fraction")

    def of(self, setting: str) -> pd.DataFrame:
        """The rows of one setting."""
        return self.frame[self.frame["setting"] == setting]


def over_seeds(rows: pd.DataFrame, x: str, y: str, *, log: bool) -> pd.DataFrame:
    """Columns `middle, low, high` by x: median, smallest and largest over runs.

    A run that was logged at other steps than its twins is interpolated between its own, never beyond.
    """
    values = rows[y].to_numpy(dtype=float)
    shown = np.log10(loggable(values)) if log else np.where(np.isfinite(values), values, np.nan)
    tidy = pd.DataFrame({"x": rows[x], "run": rows["run"], "y": shown}).dropna()
    wide = tidy.pivot_table(index="x", columns="run", values="y")
    if x == "step" and len(wide.columns) > 1:
        wide = wide.interpolate(method="index", limit_area="inside")
    band = pd.DataFrame({"middle": wide.median(axis=1), "low": wide.min(axis=1), "high": wide.max(axis=1)})
    return 10.0**band if log else band


def spans_decades(values: pd.Series[float]) -> bool:
    """Whether a log axis is needed: positive numbers far apart, and not one below zero."""
    finite = values[np.isfinite(values)]
    positive = finite[finite > 0]
    if positive.empty or bool((finite < 0).any()):
        return False
    return float(positive.max()) > MANY_DECADES * float(positive.min())


def divergence_mark(rows: pd.DataFrame) -> str:
    """` (diverged)` or ` (2 of 3 diverged)`: what to write after the name of the setting of `rows`."""
    status = rows.drop_duplicates("run")["status"]
    count = int((status == "diverged").sum())
    if not count:
        return ""
    return " (diverged)" if count == len(status) else f" ({count} of {len(status)} diverged)"
