"""What residual connections do to gradients: the two terms in each block, and what reaches the input."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.report.figures.of_runs import of_runs
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import Reference, View


@of_runs
def gradient_terms(terms: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """The gradient of a block's input as a sum: what the shortcut passes on, and what the branch adds."""
    label = "norm of the term (L2)"
    shortcut, branch = (terms.assign(norm=terms[f"{name}_norm"]) for name in ("shortcut", "branch"))
    never = Reference(-1.0, "-1: the branch would undo the shortcut")
    views = [
        View(shortcut, "block", "norm", "through the shortcut", label),
        View(branch, "block", "norm", "through the branch", label),
        View(terms, "block", "cosine", "cosine between them", "cosine", False, (never,), (-1.12, 1.12)),
    ]
    title = "The two terms of a residual block's gradient, at the start"
    return draw_views(title, views, colours or palette(terms["setting"]))


@of_runs
def shattered_gradients(correlations: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Correlation of the gradients at inputs along a line, over their distance (Balduzzi et al. 2017)."""
    noise = Reference(0.0, "0: white noise")
    apart = correlations[correlations["lag"] > 0]  # a gradient has correlation 1 with itself
    view = View(apart, "lag", "correlation", "at the start", "correlation", False, (noise,))
    return draw_views("Correlation of input gradients", [view], colours or palette(correlations["setting"]))
