"""What the first layer's units look for, as pictures."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vanishgrad.report.figures.canvas import note, panels, say_empty, wrapped
from vanishgrad.report.figures.mosaic import in_a_square
from vanishgrad.report.figures.multiples import first_settings
from vanishgrad.report.figures.of_runs import of_runs
from vanishgrad.report.figures.palette import Palette, palette

MOST_SETTINGS = 4
MOMENTS = {"start": "at the start", "pretrained": "after pretraining", "trained": "after training"}
SMALL = 2.4  # inches


@of_runs
def filters(pictures: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Weights of the first layer's units: a row per setting, a column per moment of training."""
    settings = first_settings(pictures, colours or palette(pictures["setting"]))[:MOST_SETTINGS]
    moments = [moment for moment in MOMENTS if moment in set(pictures["moment"])]
    figure, axes = panels("Filters of the first layer", len(settings), len(moments), (SMALL, SMALL))
    for row, setting in enumerate(settings):
        mine = pictures[pictures["setting"] == setting]
        one_run = mine[mine["run"] == mine["run"].iloc[0]].set_index("moment")["filters"]
        for column, moment in enumerate(moments):
            _draw(axes[row, column], one_run.get(moment))
            axes[row, column].set_title(MOMENTS[moment] if row == 0 else "", fontsize=10.5)
        axes[row, 0].set_ylabel(wrapped(setting), fontsize=9.5)
    note(figure, _notes(pictures, len(settings)))
    return figure


def _draw(axes: Axes, pictures: NDArray[np.float32] | None) -> None:
    """Blue is negative, red positive; each filter on its own scale, for their sizes differ by far."""
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_box_aspect(1)
    if pictures is None:
        say_empty(axes, "none")
        return
    largest = np.nanmax(np.abs(np.where(np.isfinite(pictures), pictures, 0.0)), axis=(1, 2), keepdims=True)
    scaled = pictures / np.where(largest > 0, largest, 1.0)
    colours = colormaps["RdBu_r"].with_extremes(bad="white")
    axes.imshow(np.ma.masked_invalid(in_a_square(scaled)), cmap=colours, vmin=-1, vmax=1, rasterized=True)


def _notes(pictures: pd.DataFrame, rows: int) -> str:
    settings, most = pictures["setting"].nunique(), int(pictures["units"].max())
    drawn = max(len(one) for one in pictures["filters"])
    said = ["blue: negative, red: positive, each filter on its own scale"]
    said += [f"the first {drawn} of {most} units"] * (drawn < most)
    said += ["one seed each"] * (pictures["run"].nunique() > settings)
    return "; ".join(said + [f"the first {rows} of {settings} settings"] * (settings > rows))
