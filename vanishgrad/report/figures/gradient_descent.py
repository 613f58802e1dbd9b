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
FLOOR = 1e-6  # of the loss at the start: what is below has arrived


def gradient_descent(
    paths: pd.DataFrame, curvatures: Sequence[float], colours: Palette | None = None
) -> Figure:
    """The way down the surface (c_1 x^2 + c_2 y^2) / 2, and the loss on the way.

    `paths`: `setting, step, x, y, loss`.
    """
    found = colours or palette(paths["setting"])
    figure, axes = panels("Gradient descent: the rate decides", 1, 2, (5.4, 3.6))
    surface, losses = axes.flat
    _draw_surface(surface, paths, curvatures)
    name_axes(surface, "the way on the surface", "weight x", "weight y")
    name_axes(losses, "the loss on the way", "step", "loss")
    for label in found.labels:
        path = paths[paths["setting"] == label].sort_values("step")
        style = {"color": found.colours[label], "marker": found.markers[label], "markersize": 3.5}
        surface.plot(path["x"], path["y"], linewidth=1.4, **style)
        losses.plot(path["step"], path["loss"].clip(lower=FLOOR * paths["loss"].iloc[0]), label=label, **style)
    losses.set_yscale("log")
    losses.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)
    return figure


def _draw_surface(axes: Axes, paths: pd.DataFrame, curvatures: Sequence[float]) -> None:
    """Contours of the loss; the minimum is a cross."""
    x = MARGIN * float(paths["x"].abs().iloc[0])
    y = MARGIN * max(float(paths.groupby("setting")["y"].agg(lambda each: each.abs().iloc[0]).max()), 0.3 * x)
    across, along = np.meshgrid(np.linspace(-x, x, 160), np.linspace(-y, y, 120))
    loss = (curvatures[0] * across**2 + curvatures[1] * along**2) / 2
    axes.contourf(across, along, loss**0.5, levels=LEVELS, cmap="Greys_r", alpha=0.55)
    axes.contour(across, along, loss**0.5, levels=LEVELS, colors="white", linewidths=0.6)
    axes.plot(0, 0, "+", color="black", markersize=10)
    axes.set_xlim(-x, x)
    axes.set_ylim(-y, y)
