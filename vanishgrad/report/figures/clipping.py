"""Gradient norms before and after clipping."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.report.figures.of_runs import of_runs
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import View, spans_decades


@of_runs
def clipping(metrics: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """The norm of the whole gradient over steps, as backpropagation gave it and as the optimizer got it."""
    label = "norm of the whole gradient (L2)"
    both = pd.concat([metrics["grad_norm"], metrics["clipped_grad_norm"]])
    log = spans_decades(both)
    views = [
        View(metrics.assign(norm=metrics[column]), "step", "norm", title, label, log)
        for column, title in (("grad_norm", "before clipping"), ("clipped_grad_norm", "after clipping"))
    ]
    return draw_views(
        "Gradient norm before and after clipping", views, colours or palette(metrics["setting"])
    )
