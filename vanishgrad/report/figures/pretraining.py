"""The loss of layer-wise pretraining."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.report.figures.canvas import name_axes, note, share_limits, whole_ticks
from vanishgrad.report.figures.layer_lines import draw_layers, draw_legend
from vanishgrad.report.figures.multiples import first_settings, multiples, multiples_notes
from vanishgrad.report.figures.of_runs import of_runs
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.view import X_LABELS, spans_decades


@of_runs
def pretraining(losses: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Loss relative to that before: a panel per setting, a line per layer, dark near the input."""
    settings = first_settings(losses, colours or palette(losses["setting"]))
    figure, axes = multiples("Layer-wise pretraining", len(settings))
    log = spans_decades(losses["relative_loss"])
    for each, setting in zip(axes, settings, strict=True):
        rows = losses[losses["setting"] == setting]
        name_axes(each, setting, X_LABELS["epoch"], "loss / loss before")
        draw_layers(each, rows, "epoch", "relative_loss", log=log)
        whole_ticks(each.xaxis, rows["epoch"])
    share_limits([axes])
    draw_legend(figure, axes)
    note(figure, "; ".join(multiples_notes(losses)))
    return figure
