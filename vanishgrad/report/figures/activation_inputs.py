"""What enters each layer's activation, and where it is flat."""

from __future__ import annotations

from math import ceil

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vanishgrad.report.figures.canvas import name_axes, note, panels, whole_ticks
from vanishgrad.report.figures.multiples import first_settings
from vanishgrad.report.figures.of_runs import of_runs
from vanishgrad.report.figures.palette import Palette, palette

MOST_SETTINGS = 4
MOST_LAYERS = 12
HIGHEST = 0.9  # of the distance between two layers
FLAT_COLOUR = "#f3d3c1"
TITLES = {"start": "at the start", "end": "at the end"}


@of_runs
def activation_inputs(histograms: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """The distribution of z by layer, a ridge each: a row per setting, its first run; shaded where f is flat.

    Columns: `moment` (start or end), `edges` of the bins, `fractions` `(layers, bins)` and `flat` `(bins,)`.
    """
    colours = colours or palette(histograms["setting"])
    settings = first_settings(histograms, colours)[:MOST_SETTINGS]
    most = max(min(len(each), MOST_LAYERS) for each in histograms["fractions"])
    figure, axes = panels(
        "Activations by layer: what enters them", len(settings), 2, (4.6, 1.6 + 0.22 * most)
    )
    for row, setting in zip(axes, settings, strict=True):
        mine = histograms[histograms["setting"] == setting]
        one_run = mine[mine["run"] == mine["run"].iloc[0]].set_index("moment")
        for each, moment in zip(row, TITLES, strict=True):
            name_axes(each, f"{setting}: {TITLES[moment]}", "z, what enters the activation", "layer")
            drawn = one_run.loc[moment]
            _draw(each, drawn["edges"], drawn["fractions"], drawn["flat"], colours.colours[setting])
    note(figure, "; ".join(_notes(histograms, len(settings))))
    return figure


def _draw(
    axes: Axes,
    edges: NDArray[np.float64],
    fractions: NDArray[np.float64],
    flat: NDArray[np.bool_],
    colour: str,
) -> None:
    """The first layer at the bottom; every ridge is as high as its own largest fraction."""
    middle = (edges[1:] + edges[:-1]) / 2
    for low, high, is_flat in zip(edges[:-1], edges[1:], flat, strict=True):
        if is_flat:
            axes.axvspan(low, high, color=FLAT_COLOUR, linewidth=0, zorder=0.5)
    count = len(fractions)
    apart = ceil(count / MOST_LAYERS)
    for layer in range(0, count, apart):
        height = HIGHEST * apart * fractions[layer] / max(float(fractions[layer].max()), 1e-12)
        base = float(layer + 1)
        axes.fill_between(middle, base, base + height, color=colour, alpha=0.75, linewidth=0, zorder=2)
        axes.plot(middle, base + height, color="white", linewidth=0.8, zorder=2)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0.7, count + 1.2 * apart)
    whole_ticks(axes.yaxis, pd.Series(np.arange(1, count + 1)))


def _notes(histograms: pd.DataFrame, rows: int) -> list[str]:
    settings = histograms["setting"].nunique()
    said = ["shaded: slope under 5 % of the largest, where units are saturated or off"]
    said += ["one seed each"] * (histograms["run"].nunique() > settings)
    return said + [f"the first {rows} of {settings} settings"] * (settings > rows)
