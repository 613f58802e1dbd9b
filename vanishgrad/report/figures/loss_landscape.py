"""The loss around a trained network, and the way that training took."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vanishgrad.report.figures.canvas import name_axes, note, panels, say_empty
from vanishgrad.report.figures.mesh import MISSING, colour_map
from vanishgrad.report.figures.multiples import first_settings
from vanishgrad.report.figures.of_runs import of_runs
from vanishgrad.report.figures.palette import Palette, palette

MOST_SETTINGS = 4
LEVELS = 14
HIGHEST = 0.97  # of the losses, as a quantile: a cliff at a corner would take all colours
PATH = "#ff5a1f"
TITLES = {"path": "path of training", "random": "random directions"}
MOST_TICKS = 5


@of_runs
def loss_landscape(planes: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Level lines of the loss: a row per setting, its first run; left with the path, right in random
    directions.

    Columns: `plane` (path or random), `x, y, loss` with `loss[j, i]` at `x[i], y[j]`, `path` `(snapshots, 2)`
    and `shares`, how much of the path its two directions hold.
    """
    settings = first_settings(planes, colours or palette(planes["setting"]))[:MOST_SETTINGS]
    figure, axes = panels("Loss landscape", len(settings), 2, (4.9, 3.7))
    for row, setting in zip(axes, settings, strict=True):
        mine = planes[planes["setting"] == setting]
        one_run = mine[mine["run"] == mine["run"].iloc[0]].set_index("plane")
        for each, plane in zip(row, TITLES, strict=True):
            if plane in one_run.index:
                _draw(figure, each, one_run.loc[plane], plane, setting)
    note(figure, _notes(planes, len(settings)))
    return figure


def _draw(figure: Figure, axes: Axes, row: pd.Series[Any], plane: str, setting: str) -> None:
    names = ("first", "second")
    shares = row["shares"]
    labels = [
        f"{name} principal direction ({share:.0%} of the way)" if plane == "path" else f"{name} direction"
        for name, share in zip(names, shares, strict=True)
    ]
    name_axes(axes, f"{setting}: {TITLES[plane]}", labels[0], labels[1])
    axes.locator_params(nbins=MOST_TICKS)
    filled = _levels(axes, np.asarray(row["x"]), np.asarray(row["y"]), np.asarray(row["loss"]))
    if filled is None:
        say_empty(axes, "no finite loss")
        return
    figure.colorbar(filled, ax=axes, label="training loss", shrink=0.85, format="%.3g")
    path = np.asarray(row["path"]) if plane == "path" else np.zeros((1, 2))
    axes.plot(path[:, 0], path[:, 1], color="white", linewidth=3.4, solid_capstyle="round")
    axes.plot(path[:, 0], path[:, 1], "o-", color=PATH, linewidth=1.7, markersize=3.5)
    axes.plot(0.0, 0.0, "*", color=PATH, markersize=13, markeredgecolor="white")


def _levels(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], loss: NDArray[np.float64]
) -> QuadContourSet | None:
    """Levels are evenly spaced on a logarithmic scale where the loss spans decades."""
    finite = loss[np.isfinite(loss)]
    if finite.size < loss.size / 4 or float(np.ptp(finite)) == 0:
        return None
    low, high = float(finite.min()), float(np.quantile(finite, HIGHEST))
    spans = low > 0 and high > 20 * low
    levels = np.unique(np.geomspace(low, high, LEVELS) if spans else np.linspace(low, high, LEVELS))
    scale = LogNorm(low, high) if spans else Normalize(low, high)
    axes.grid(False)
    axes.set_facecolor(MISSING)
    shown = np.ma.masked_invalid(loss)
    filled = axes.contourf(x, y, shown, levels=levels, cmap=colour_map(), norm=scale, extend="max")
    axes.contour(x, y, shown, levels=levels, colors="white", linewidths=0.4, alpha=0.6)
    return filled


def _notes(planes: pd.DataFrame, rows: int) -> str:
    settings = planes["setting"].nunique()
    said = ["star: the trained network, dots: the snapshots on the way to it"]
    said += ["one seed each"] * (planes["run"].nunique() > settings)
    return "; ".join(said + [f"the first {rows} of {settings} settings"] * (settings > rows))
