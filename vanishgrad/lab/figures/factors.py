"""The gradient of a chain of single units, beside the product of its factors."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.report.figures.canvas import name_axes, panels
from vanishgrad.report.figures.palette import COLOURS
from vanishgrad.report.figures.view import X_LABELS


def factors(chain: pd.DataFrame) -> Figure:
    """|dLoss/dz| of every layer as autograd gives it, and as the product of slopes and weights.

    `chain`: `seed, layer, product, measured`.
    """
    figure, axes = panels("A gradient is a product: ten layers of one unit", 1, 1, (7.0, 3.6))
    panel = axes[0, 0]
    for place, (seed, rows) in enumerate(chain.groupby("seed")):
        colour = COLOURS[place % len(COLOURS)]
        panel.plot(rows["layer"], rows["measured"].abs(), color=colour, linewidth=1.5, label=f"seed {seed}")
        panel.plot(rows["layer"], rows["product"].abs(), "o", color=colour, markersize=5)
    name_axes(panel, "line: autograd, dots: slopes times weights", X_LABELS["layer"], "|dLoss/dz|")
    panel.set_yscale("log")
    panel.set_xticks(sorted(chain["layer"].unique()))
    panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)
    return figure
