"""Loss and accuracy over steps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.report.figures.of_runs import of_runs
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import Reference, View, shared_baseline


@of_runs
def training_curves(metrics: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Training loss and validation accuracy over steps; validation loss where no accuracy exists.

    Dashed: what an answer that ignores the input scores, where all runs share it.
    """
    loss, accuracy = (_baseline(metrics, name) for name in ("val_loss", "val_accuracy"))
    views = [View(metrics, "step", "train_loss", "training loss", "loss on the batch", None, loss)]
    if np.isfinite(metrics["val_accuracy"]).any():
        title = "validation accuracy"
        views.append(View(metrics, "step", "val_accuracy", title, "fraction correct", False, accuracy))
    if not np.isfinite(metrics["val_accuracy"]).any() or loss:
        title = "validation loss"
        views.append(View(metrics, "step", "val_loss", title, "loss, held-out split", None, loss))
    return draw_views("Loss and accuracy over steps", views, colours or palette(metrics["setting"]))


def _baseline(metrics: pd.DataFrame, metric: str) -> tuple[Reference, ...]:
    value = shared_baseline(metrics, metric)
    return () if value is None else (Reference(value, f"baseline {value:.3g}"),)
