"""Activation functions and their slopes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.report.figures.canvas import QUIET, name_axes, note, panels, plain
from vanishgrad.report.figures.palette import COLOURS

MOST_CURVES = 8
DASHES = ("-", (0, (5, 2)), (0, (1, 1)), (0, (5, 1, 1, 1)))


def activation_curves(curves: pd.DataFrame, colours: object = None) -> Figure:
    """Each activation and its derivative, the largest slope marked with its value.

    Columns: `act`, what it is called, `x`, `value` and `slope`. Colours are those of activations here, not
    of settings, which may share one.
    """
    names = list(dict.fromkeys(curves["act"]))[:MOST_CURVES]
    figure, axes = panels("Activation functions and their slopes", 1, 2, (4.6, 3.6), names)
    for place, name in enumerate(names):
        rows = curves[curves["act"] == name]
        style = {
            "color": COLOURS[place % len(COLOURS)],
            "linestyle": DASHES[place % len(DASHES)],
            "linewidth": 1.8,
        }
        axes[0, 0].plot(rows["x"], rows["value"], **style)
        steepest = int(np.nanargmax(rows["slope"].to_numpy(float)))
        x, slope = float(rows["x"].iloc[steepest]), float(rows["slope"].iloc[steepest])
        axes[0, 1].plot(rows["x"], rows["slope"], label=f"{plain(name)}: at most {slope:.3g}", **style)
        axes[0, 1].plot([x], [slope], "o", color=style["color"], markersize=6, markeredgecolor="white")
    name_axes(axes[0, 0], "activation", "z, the layer's linear output", "output")
    name_axes(
        axes[0, 1], "slope", "z, the layer's linear output", "slope: what the gradient is multiplied by"
    )
    axes[0, 1].axhline(1.0, color=QUIET, linewidth=1.0, linestyle=(0, (1, 2)))
    axes[0, 1].set_ylim(bottom=min(-0.05, float(curves["slope"].min()) - 0.05))
    axes[0, 1].legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)
    more = curves["act"].nunique() - len(names)
    note(
        figure,
        f"the first {len(names)} of {len(names) + more} activations"
        if more
        else "dot: the largest slope; dotted: 1, nothing lost",
    )
    return figure
