"""How far down each choice can be trained: accuracy against depth."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.lab.colours import colours_of
from vanishgrad.report.figures.canvas import QUIET, name_axes, note, panels


def over_depth(summary: pd.DataFrame, key: str, threshold: float) -> Figure:
    """Held-out accuracy over the depth, a line per value of `key`.

    Arguments:
        summary: a row per run.
        key: the column by which lines differ.
        threshold: accuracy from which a network counts as one that learns; dotted.
    """
    names = [f"{key}={value}" for value in dict.fromkeys(summary[key])]
    colours = colours_of(names).colours
    figure, ((axes,),) = panels("How deep each can be trained", 1, 1, (5.6, 3.6), names)
    for name, value in zip(names, dict.fromkeys(summary[key]), strict=True):
        reached = summary[summary[key] == value].groupby("depth")["final_val_accuracy"]
        band = reached.agg(["median", "min", "max"])
        axes.plot(band.index, band["median"], "o-", color=colours[name], label=name, markersize=4)
        axes.fill_between(band.index, band["min"], band["max"], color=colours[name], alpha=0.2, linewidth=0)
    axes.axhline(threshold, color=QUIET, linewidth=1.0, linestyle=(0, (1, 2)))
    axes.set_xscale("log")
    depths = sorted(summary["depth"].unique())
    axes.set_xticks(depths, [f"{depth:g}" for depth in depths])
    axes.minorticks_off()
    axes.set_ylim(0, 1.02)
    name_axes(axes, "digits, after training", "hidden layers", "fraction correct, held-out split")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)
    note(figure, "line: median over seeds, band: smallest to largest; dotted: counts as learned")
    return figure
