"""Loss and accuracy over steps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import View


def training_curves(metrics: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Training loss and validation accuracy over steps; validation loss where no accuracy exists."""
    views = [View(metrics, "step", "train_loss", "training loss", "loss on the batch", log=None)]
    if np.isfinite(metrics["val_accuracy"]).any():
        title = "validation accuracy"
        views.append(View(metrics, "step", "val_accuracy", title, "fraction correct", log=False))
    else:
        views.append(View(metrics, "step", "val_loss", "validation loss", "loss, held-out split", log=None))
    return draw_views("Loss and accuracy over steps", views, colours or palette(metrics["setting"]))
