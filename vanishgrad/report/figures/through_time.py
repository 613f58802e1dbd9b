"""How gradients pass from time step to time step."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.report.figures.of_runs import of_runs
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import View


@of_runs
def gradient_through_time(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """||dLoss/dh_t|| over time steps, in the initial network and at the end."""
    return _start_and_end("Gradient through time", gradients, "grad_norm", "||dLoss/dh_t|| (L2)", colours)


@of_runs
def cell_gradient_through_time(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """||dLoss/dc_t|| of the cells over time steps, in the initial network and at the end."""
    known = gradients[np.isfinite(gradients["cell_grad_norm"])]
    title, label = "Gradient of the cells through time", "||dLoss/dc_t|| (L2)"
    shown = (colours or palette(gradients["setting"])).only(known["setting"])
    return _start_and_end(title, gradients if known.empty else known, "cell_grad_norm", label, shown)


def _start_and_end(
    title: str, gradients: pd.DataFrame, y: str, label: str, colours: Palette | None
) -> Figure:
    x = "t" if gradients.groupby("run")["t"].max().nunique() <= 1 else "t_to_end"
    moments = [(gradients[gradients["moment"] == name], f"at the {name}") for name in ("start", "end")]
    views = [View(rows, x, y, title, label) for rows, title in moments]
    return draw_views(title, views, colours or palette(gradients["setting"]))
