"""What each layer looks like, layer by layer: gradients, saturation, update ratio, weight drift."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.diagnosis.layers import at_end, at_start
from vanishgrad.report.figures.of_runs import of_runs
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import View


@of_runs
def gradient_by_layer(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """||dLoss/dW|| of every layer, in the initial network and at the end."""
    return _start_and_end("Gradient norm by layer", gradients, "grad_norm", "||dLoss/dW|| (L2)", colours)


@of_runs
def gradient_profile(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """||dLoss/dz|| of every layer, what backpropagation hands from layer to layer; see `gradient_slope`.

    At the start also what theory says of it, where `predicted_delta_norm` has that.
    """
    return _start_and_end(
        "Gradient profile: the signal by layer", gradients, "delta_norm", "||dLoss/dz|| (L2)", colours,
        theory="predicted_delta_norm",
    )  # fmt: skip


@of_runs
def update_ratio_by_layer(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Relative change of the weights in one step, at the first step and at the last."""
    label = "||change of W|| / ||W|| in one step"
    return _start_and_end("Update ratio by layer", gradients, "update_ratio", label, colours)


@of_runs
def saturation_by_layer(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Saturated activations and dead units at the end."""
    views = [
        View(
            at_end(gradients, "saturation"),
            "layer",
            "saturation",
            "saturated, at the end",
            "fraction of outputs",
            False,
        ),
        View(
            at_end(gradients, "dead_fraction"),
            "layer",
            "dead_fraction",
            "dead, at the end",
            "fraction of units",
            False,
        ),
    ]
    return draw_views(
        "Saturated activations and dead units by layer", views, colours or palette(gradients["setting"])
    )


@of_runs
def weight_drift_by_layer(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """How far the weights of each layer have moved from where they started."""
    moved = at_end(gradients, "weight_drift")
    view = View(moved, "layer", "weight_drift", "at the end", "||W - W_0|| / ||W_0||")
    return draw_views("Weight drift by layer", [view], colours or palette(gradients["setting"]))


def _start_and_end(
    title: str, gradients: pd.DataFrame, y: str, label: str, colours: Palette | None,
    theory: str | None = None,
) -> Figure:  # fmt: skip
    views = [
        View(at_start(gradients, y), "layer", y, "at the start", label, theory=theory),
        View(at_end(gradients, y), "layer", y, "at the end", label),
    ]
    return draw_views(title, views, colours or palette(gradients["setting"]))
