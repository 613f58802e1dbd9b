"""Speed of learning per layer over steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vanishgrad.report.figures.canvas import log_notes, name_axes, note, say_empty, share_limits
from vanishgrad.report.figures.multiples import MOST_MULTIPLES, first_settings, multiples
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.view import divergence_mark, over_seeds

MOST_LAYERS = 6


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
        _draw(each, rows)
    share_limits([_calm(axes, settings, gradients)])
    _legend(figure, axes)
    note(figure, _notes(gradients))
    return figure


def chosen_layers(layers: pd.Series[int]) -> list[int]:
    """First and last hidden layer, some between, evenly spaced, and the output layer."""
    every = np.unique(layers)
    places = np.linspace(0, every.size - 1, min(MOST_LAYERS, every.size)).round().astype(int)
    return [int(layer) for layer in every[places]]


def _draw(axes: Axes, rows: pd.DataFrame) -> None:
    layers = chosen_layers(rows["layer"])
    shades = colormaps["plasma"](np.linspace(0.0, 0.85, len(layers)))
    drawn = False
    for layer, shade in zip(layers, shades, strict=True):
        band = over_seeds(rows[rows["layer"] == layer], "step", "grad_norm", log=True)
        marker = "o" if len(band) == 1 else None
        axes.plot(band.index, band["middle"], color=shade, marker=marker, label=f"layer {layer}")
        drawn = drawn or not band.empty
    if not drawn:
        say_empty(axes, "no value above zero")
        return
    axes.set_yscale("log")


def _calm(axes: Sequence[Axes], settings: Sequence[str], gradients: pd.DataFrame) -> list[Axes]:
    """The panels of settings that did not diverge: an explosion would flatten all others."""
    diverged = set(gradients.loc[gradients["status"] == "diverged", "setting"])
    return [each for each, setting in zip(axes, settings, strict=True) if setting not in diverged]


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One for all panels when they show the same layers, else one in each."""
    drawn = [each.get_legend_handles_labels() for each in axes]
    named = [(handles, names) for handles, names in drawn if names]
    if named and all(names == named[0][1] for _, names in named):
        figure.legend(*named[0], loc="outside right upper", fontsize=9, frameon=False)
        return
    for each, (_, names) in zip(axes, drawn, strict=True):
        if names:
            each.legend(fontsize=7.5, frameon=False, ncols=2, loc="best")


def _notes(gradients: pd.DataFrame) -> str:
    count = gradients["setting"].nunique()
    said = ["median over seeds"] if gradients["run"].nunique() > count else []
    if count > MOST_MULTIPLES:
        said.append(f"the first {MOST_MULTIPLES} of {count} settings")
    return "; ".join(said + log_notes(gradients["grad_norm"]))
