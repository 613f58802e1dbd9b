"""Gradient descent on a surface that can be drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vanishgrad.report.figures.canvas import name_axes, panels
from vanishgrad.report.figures.palette import Palette, palette

LEVELS = 14
MARGIN = 1.12
ROOM = 1.6  # across the valley, where paths swing
FLOOR = 1e-6  # of the loss at the start: what is below has arrived


def gradient_descent(
    paths: pd.DataFrame, curvatures: Sequence[float] = (1.0, 10.0), colours: Palette | None = None
) -> Figure:
    """The way down the surface (c_1 x^2 + c_2 y^2) / 2, and the loss on the way.

    `paths`: `setting, step, x, y, loss`. A path that leaves the picture ends at its border.
    """
    found = colours or palette(paths["setting"])
    figure, axes = panels("Gradient descent: the learning rate decides", 1, 2, (5.4, 3.6))
    surface, losses = axes.flat[:2]
    width, height = _draw_surface(surface, paths, curvatures)
    name_axes(surface, "the way on the surface", "weight x", "weight y")
    name_axes(losses, "the loss on the way", "step", "loss")
    floor = FLOOR * float(paths["loss"].iloc[0])
    for label in found.labels:
        path = paths[paths["setting"] == label].sort_values("step")
        style = {"color": found.colours[label], "marker": found.markers[label], "markersize": 4}
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
