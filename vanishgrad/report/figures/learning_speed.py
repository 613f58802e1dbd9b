"""Speed of learning per layer over steps."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vanishgrad.report.figures.canvas import log_notes, name_axes, note, share_limits
from vanishgrad.report.figures.layer_lines import draw_layers, draw_legend
from vanishgrad.report.figures.multiples import first_settings, multiples, multiples_notes
from vanishgrad.report.figures.of_runs import of_runs
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.view import divergence_mark


@of_runs
def learning_speed(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Gradient norm of some layers over steps: a panel per setting, a line per layer, dark near the input.

    Of the weights: Nielsen (2015, chapter 5) takes the biases, but a bias before a normalization does nothing
    and its gradient is rounding noise.
    """
    settings = first_settings(gradients, colours or palette(gradients["setting"]))
    figure, axes = multiples("Speed of learning per layer over steps", len(settings))
    for each, setting in zip(axes, settings, strict=True):
        rows = gradients[gradients["setting"] == setting]
        name_axes(each, setting + divergence_mark(rows), "optimizer step", "||dLoss/dW|| (L2)")
        draw_layers(each, rows, "step", "grad_norm", log=True)
    share_limits([_calm(axes, settings, gradients)])
    draw_legend(figure, axes)
    note(figure, "; ".join(multiples_notes(gradients) + log_notes(gradients["grad_norm"])))
    return figure


def _calm(axes: Sequence[Axes], settings: Sequence[str], gradients: pd.DataFrame) -> list[Axes]:
    """The panels of settings that did not diverge: an explosion would flatten all others."""
    diverged = set(gradients.loc[gradients["status"] == "diverged", "setting"])
    return [each for each, setting in zip(axes, settings, strict=True) if setting not in diverged]
