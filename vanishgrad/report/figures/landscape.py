"""The loss around a trained network, and the way that training took."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vanishgrad.report.figures.canvas import (
    as_runs,
    first_runs_notes,
    first_settings,
    name_axes,
    note,
    panels,
    say_empty,
)
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.series import MISSING, colour_map

MOST_SETTINGS = 4
LEVELS = 14
HIGHEST = 0.97  # of the losses, as a quantile: a cliff at a corner would take all colours
PATH = "#ff5a1f"
TITLES = {"path": "path of training", "random": "random directions"}
MOST_TICKS = 5
STAR_NOTE = "star: the trained network, dots: the snapshots on the way to it"


def loss_landscape(planes: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw level lines of the loss around the trained network: a row per setting, its first run.

    Left in the plane of the path of training, which is drawn on it; right in the plane of two random
    directions (Li et al. 2018).

    Arguments:
        planes: `load_runs(...).extra("landscape")`; reads `plane` (path or random), `x, y, loss` with
            `loss[j, i]` at `x[i], y[j]`, `path` `(snapshots, 2)` and `shares`, how much of the path its two
            directions hold.
        colours: of the settings, for their order; None: as they come.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> side = np.linspace(-1, 1, 9)
        >>> bowl = {"x": side, "y": side, "loss": 1 + side[None] ** 2 + side[:, None] ** 2}
        >>> path = {"path": np.array([[0.8, 0.5], [0.0, 0.0]]), "shares": np.array([0.9, 0.1])}
        >>> rows = pd.DataFrame([{"plane": plane, **bowl, **path} for plane in ("path", "random")])
        >>> figure = loss_landscape(rows)
        >>> figure.axes[0].get_title()
        'this run: path of training'
    """
    planes = as_runs(planes)
    settings = first_settings(planes, colours or palette(planes["setting"]))[:MOST_SETTINGS]
    figure, axes = panels("Loss landscape", len(settings), 2, (4.9, 3.7))
    for row, setting in zip(axes, settings, strict=True):
        mine = planes[planes["setting"] == setting]
        one_run = mine[mine["run"] == mine["run"].iloc[0]].set_index("plane")
        for each, plane in zip(row, TITLES, strict=True):
            if plane in one_run.index:
                _draw(figure, each, one_run.loc[plane], plane, setting)
    note(figure, "; ".join([STAR_NOTE, *first_runs_notes(planes, len(settings))]))
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


MARGIN = 1.12
ROOM = 1.6  # across the valley, where paths swing
FLOOR = 1e-6  # of the loss at the start: what is below has arrived


def gradient_descent(
    paths: pd.DataFrame, curvatures: Sequence[float] = (1.0, 10.0), colours: Palette | None = None
) -> Figure:
    """Draw the way down the surface (c_1 x^2 + c_2 y^2) / 2, and the loss on the way.

    Arguments:
        paths: rows of `setting, step, x, y, loss`; a path that leaves the picture ends at its border.
        curvatures: c_1 and c_2.
        colours: of the settings, see `palette`; None: their own.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"setting": "lr=0.1", "step": [0, 1], "x": [1.0, 0.9], "y": [0.5, 0.0]})
        >>> figure = gradient_descent(rows.assign(loss=[1.75, 0.405]))
        >>> [axes.get_title() for axes in figure.axes]
        ['the way on the surface', 'the loss on the way']
    """
    own_colours = colours or palette(paths["setting"])
    figure, axes = panels("Gradient descent: the learning rate decides", 1, 2, (5.4, 3.6))
    surface, losses = axes.flat[:2]
    width, height = _draw_surface(surface, paths, curvatures)
    name_axes(surface, "the way on the surface", "weight x", "weight y")
    name_axes(losses, "the loss on the way", "step", "loss")
    floor = FLOOR * float(paths["loss"].iloc[0])
    for label in own_colours.labels:
        path = paths[paths["setting"] == label].sort_values("step")
        style = {"color": own_colours.colours[label], "marker": own_colours.markers[label], "markersize": 4}
        outside = (path["x"].abs() > width) | (path["y"].abs() > height)
        inside = path[outside.cumsum().shift(fill_value=0) == 0]
        surface.plot(inside["x"], inside["y"], linewidth=1.5, **style)
        losses.plot(path["step"], path["loss"].clip(lower=floor), label=label, **style)
    losses.set_yscale("log")
    losses.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)
    return figure


def _draw_surface(axes: Axes, paths: pd.DataFrame, curvatures: Sequence[float]) -> tuple[float, float]:
    """Contours of the loss, a cross at its minimum; half the width and the height of the picture."""
    start = paths.iloc[0]
    width, height = MARGIN * abs(float(start["x"])), ROOM * MARGIN * abs(float(start["y"]))
    x, y = np.meshgrid(np.linspace(-width, width, 160), np.linspace(-height, height, 120))
    loss = (curvatures[0] * x**2 + curvatures[1] * y**2) / 2
    axes.contourf(x, y, loss**0.5, levels=LEVELS, cmap="Greys_r", alpha=0.55)
    axes.contour(x, y, loss**0.5, levels=LEVELS, colors="white", linewidths=0.6)
    axes.plot(0, 0, "P", color="black", markersize=9, markeredgecolor="white", zorder=4)
    axes.plot(start["x"], start["y"], "o", color="black", markersize=9, markeredgecolor="white", zorder=4)
    axes.set_xlim(-width, width)
    axes.set_ylim(-height, height)
    return width, height
