"""A `View` is what a column of panels shows; one line of it is a median with a band over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vanishgrad.report.figures.canvas import loggable, say_empty

MANY_DECADES = 30.0
MOST_WHOLE = 10  # runs whose smallest and largest are a band
LOW = 0.1  # the lower end of the band of more runs, as a quantile; the upper end is symmetric
FRACTION_LIMITS = (-0.03, 1.03)
X_LABELS = {
    "layer": "layer (1 = nearest the input)",
    "step": "optimizer step",
    "t": "time step t (1 = the first)",
    "t_to_end": "time step, counted from the last (0)",
    "block": "residual block (1 = nearest the input)",
    "lag": "distance along the line of inputs (points)",
    "frame": "predicted frame (1 = the next)",
    "epoch": "epoch of pretraining",
}
NEAR = ("lag",)  # what matters happens at small values: a logarithmic axis
COUNTED = ("layer", "block", "frame")  # few enough, and one by one: an axis of whole numbers


@dataclass(frozen=True, eq=False)
class Reference:
    """A dashed line to compare with: one `level`, or `middle` by x; `text` says what it is."""

    level: float | pd.Series[float]
    text: str


@dataclass(frozen=True, eq=False)
class View:
    """One column of panels: `y` over `x` in the rows of `frame`.

    `log`: a log axis for y; None: where the values span more than a factor of 30. `fixed`: the ends of a
    linear y axis that is always the same. `theory`: the column that predicts `y`.
    """

    frame: pd.DataFrame
    x: str
    y: str
    title: str
    y_label: str
    log: bool | None = True
    references: tuple[Reference, ...] = ()
    fixed: tuple[float, float] | None = None
    theory: str | None = None

    @property
    def x_label(self) -> str:
        return X_LABELS[self.x]

    @property
    def is_log(self) -> bool:
        return spans_decades(self.frame[self.y]) if self.log is None else self.log

    @property
    def has_theory(self) -> bool:
        """Whether there is a prediction for the rows."""
        return self.theory in self.frame and bool(np.isfinite(self.frame[self.theory]).any())

    @property
    def limits(self) -> tuple[float, float] | None:
        """The ends of the y axis, where they do not depend on the values: a fraction's are 0 and 1."""
        return FRACTION_LIMITS if self.y_label.startswith("fraction") else self.fixed

    def of(self, setting: str) -> pd.DataFrame:
        """The rows of one setting."""
        return self.frame[self.frame["setting"] == setting]


def over_seeds(rows: pd.DataFrame, x: str, y: str, *, log: bool) -> pd.DataFrame:
    """Reduce runs to `middle, low, high` by x: median, smallest and largest, see `band_note`.

    A run that was logged at other steps than its twins is interpolated between its own, never beyond.
    """
    values = rows[y].to_numpy(dtype=float)
    shown = np.log10(loggable(values)) if log else np.where(np.isfinite(values), values, np.nan)
    tidy = pd.DataFrame({"x": rows[x], "run": rows["run"], "y": shown}).dropna()
    if tidy["run"].nunique() == 1 and tidy["x"].is_unique:  # many times quicker than a table of one column
        alone = tidy.set_index("x")["y"].sort_index()
        return _back(pd.DataFrame({"middle": alone, "low": alone, "high": alone}), log=log)
    wide = tidy.pivot_table(index="x", columns="run", values="y")
    if x == "step" and len(wide.columns) > 1:
        wide = wide.interpolate(method="index", limit_area="inside")
    if len(wide.columns) > MOST_WHOLE:
        low, high = wide.quantile(LOW, axis=1), wide.quantile(1 - LOW, axis=1)
    else:
        low, high = wide.min(axis=1), wide.max(axis=1)
    return _back(pd.DataFrame({"middle": wide.median(axis=1), "low": low, "high": high}), log=log)


def _back(band: pd.DataFrame, *, log: bool) -> pd.DataFrame:
    """From logarithms."""
    return 10.0**band if log else band


def band_note(rows: pd.DataFrame) -> str:
    """What the bands of `rows` are; empty where no setting has several runs.

    The smallest and the largest of very many runs are exceptions that say nothing of the others.
    """
    runs = rows[["run", "setting"]].drop_duplicates()["setting"].value_counts()
    most = int(runs.max()) if len(runs) else 0
    if most <= 1:
        return ""
    if most <= MOST_WHOLE:
        return "line: median over seeds, band: smallest to largest"
    few = ", smallest to largest of few" if ((runs > 1) & (runs <= MOST_WHOLE)).any() else ""
    return f"line: median over seeds, band: the middle {1 - 2 * LOW:.0%} of them{few}"


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


def shared_baseline(rows: pd.DataFrame, metric: str) -> float | None:
    """The baseline in `metric`, when it is one number for all runs of `rows`."""
    values = rows.get(f"baseline_{metric}", pd.Series(dtype=float)).unique()
    return float(values[0]) if len(values) == 1 and np.isfinite(values[0]) else None


MOST_LAYERS = 6
FEW_POINTS = 12


def draw_layers(axes: Axes, rows: pd.DataFrame, x: str, y: str, *, log: bool) -> None:
    """Draw the median over seeds of `y` over `x`, a line for each of some layers."""
    layers = chosen_layers(rows["layer"])
    shades = colormaps["plasma"](np.linspace(0.0, 0.85, len(layers)))
    drawn = False
    for layer, shade in zip(layers, shades, strict=True):
        band = over_seeds(rows[rows["layer"] == layer], x, y, log=log)
        marker = "o" if len(band) == 1 or (x == "epoch" and len(band) <= FEW_POINTS) else None
        axes.plot(
            band.index, band["middle"], color=shade, marker=marker, markersize=4, label=f"layer {layer}"
        )
        drawn = drawn or not band.empty
    if not drawn:
        say_empty(axes, "no value above zero" if log else "nothing to show")
    elif log:
        axes.set_yscale("log")


def chosen_layers(layers: pd.Series[int]) -> list[int]:
    """First and last layer, some between, evenly spaced."""
    every = np.unique(layers)
    places = np.linspace(0, every.size - 1, min(MOST_LAYERS, every.size)).round().astype(int)
    return [int(layer) for layer in every[places]]


def draw_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Add one legend for all panels when they show the same lines, else one in each."""
    drawn = [each.get_legend_handles_labels() for each in axes]
    named = [(handles, names) for handles, names in drawn if names]
    if named and all(names == named[0][1] for _, names in named):
        figure.legend(*named[0], loc="outside right upper", fontsize=9, frameon=False)
        return
    for each, (_, names) in zip(axes, drawn, strict=True):
        if names:
            each.legend(fontsize=7.5, frameon=False, ncols=2, loc="best")
