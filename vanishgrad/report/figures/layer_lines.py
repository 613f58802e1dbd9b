"""A line per layer in the panel of one setting, dark near the input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vanishgrad.report.figures.canvas import say_empty
from vanishgrad.report.figures.view import over_seeds

MOST_LAYERS = 6
FEW_POINTS = 12


def draw_layers(axes: Axes, rows: pd.DataFrame, x: str, y: str, *, log: bool) -> None:
    """The median over seeds of `y` over `x`, for some layers."""
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
    """One for all panels when they show the same lines, else one in each."""
    drawn = [each.get_legend_handles_labels() for each in axes]
    named = [(handles, names) for handles, names in drawn if names]
    if named and all(names == named[0][1] for _, names in named):
        figure.legend(*named[0], loc="outside right upper", fontsize=9, frameon=False)
        return
    for each, (_, names) in zip(axes, drawn, strict=True):
        if names:
            each.legend(fontsize=7.5, frameon=False, ncols=2, loc="best")
