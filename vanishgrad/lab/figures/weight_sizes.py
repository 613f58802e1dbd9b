"""How large weights are after training, penalty by penalty."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.lab.colours import colours_of
from vanishgrad.report.figures.canvas import QUIET, name_axes, note, panels


def weight_sizes(rows: pd.DataFrame, tiny: float) -> Figure:
    """The share of the weights under a size, over that size: a line per penalty.

    Columns: `reg`, `size`, `under`, a row per seed; `tiny` is the size that is marked.
    """
    names = [f"reg={reg}" for reg in dict.fromkeys(rows["reg"])]
    colours = colours_of(names).colours
    figure, ((axes,),) = panels("Sizes of the weights after training", 1, 1, (5.6, 3.6), names)
    for name in names:
        under = rows[rows["reg"] == name.removeprefix("reg=")].groupby("size")["under"]
        band = under.agg(["median", "min", "max"])
        axes.plot(band.index, band["median"], color=colours[name], label=name, linewidth=1.8)
        axes.fill_between(band.index, band["min"], band["max"], color=colours[name], alpha=0.2, linewidth=0)
    axes.axvline(tiny, color=QUIET, linewidth=1.0, linestyle=(0, (1, 2)))
    axes.set_xscale("log")
    axes.set_ylim(0, 1.02)
    name_axes(axes, "all layers", "size |w|", "fraction of the weights that are smaller")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)
    note(figure, f"line: median over seeds, band: smallest to largest; dotted: {tiny:g}")
    return figure
