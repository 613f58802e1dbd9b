"""Speed of learning per layer over steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vanishgrad.report.figures.canvas import name_axes, note, say_empty, share_limits
from vanishgrad.report.figures.multiples import MOST_MULTIPLES, first_settings, multiples
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.series import ZEROS_NOTE
from vanishgrad.report.figures.view import divergence_mark, over_seeds

MOST_LAYERS = 6


def learning_speed(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Gradient norm of the biases, the speed at which a layer learns (Nielsen 2015, chapter 5), over steps.

    Without biases it is that of the weights. One panel per setting, one line per layer, dark: near the input.
    """
    column = "bias_grad_norm" if (gradients["bias_grad_norm"] > 0).any() else "grad_norm"
    symbol = "||dLoss/db||" if column == "bias_grad_norm" else "||dLoss/dW||"
    settings = first_settings(gradients, colours or palette(gradients["setting"]))
    figure, axes = multiples("Speed of learning per layer over steps", len(settings))
    for each, setting in zip(axes, settings, strict=True):
        rows = gradients[gradients["setting"] == setting]
        name_axes(each, setting + divergence_mark(rows), "optimizer step", f"{symbol} (L2)")
        _draw(each, rows, column)
    share_limits([axes])
    _legend(figure, axes)
    note(figure, _notes(gradients, column))
    return figure


def chosen_layers(layers: pd.Series[int]) -> list[int]:
    """First and last hidden layer, some between, evenly spaced, and the output layer."""
    every = np.unique(layers)
    places = np.linspace(0, every.size - 1, min(MOST_LAYERS, every.size)).round().astype(int)
    return [int(layer) for layer in every[places]]


def _draw(axes: Axes, rows: pd.DataFrame, column: str) -> None:
    layers = chosen_layers(rows["layer"])
    shades = colormaps["plasma"](np.linspace(0.0, 0.85, len(layers)))
    for layer, shade in zip(layers, shades, strict=True):
        band = over_seeds(rows[rows["layer"] == layer], "step", column, log=True)
        if not band.empty:
            marker = "o" if len(band) == 1 else None
            axes.plot(band.index, band["middle"], color=shade, marker=marker, label=f"layer {layer}")
    if not axes.lines:
        say_empty(axes, "no value above zero")
        return
    axes.set_yscale("log")


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


def _notes(gradients: pd.DataFrame, column: str) -> str:
    count = gradients["setting"].nunique()
    said = ["median over seeds"] if gradients["run"].nunique() > count else []
    if count > MOST_MULTIPLES:
        said.append(f"the first {MOST_MULTIPLES} of {count} settings")
    if (gradients[column] == 0).any():
        said.append(ZEROS_NOTE)
    return "; ".join(said)
