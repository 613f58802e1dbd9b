"""The plane of initial weights and biases, where gradients vanish and explode, and a predicted profile."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from vanishgrad.report.figures.canvas import QUIET, name_axes, note, panels, plain, say_empty, whole_ticks
from vanishgrad.report.figures.palette import COLOURS

STEEPEST = 0.3  # decades per layer at the ends of the colours
LEVELS = np.linspace(-STEEPEST, STEEPEST, 31)
DEPTHS = (5, 10, 30)  # layers per decade that have a line
NAMED_AT, WORDS_AT = (0.45, 0.25, 0.1), 0.88  # heights of the names of lines and of phases
RIGHTMOST = 0.86  # of the width, for the middle of a word
NARROWEST = 0.15  # of the width, for a phase to be named
TITLE_WIDTH = 95
PROFILE = "log10 ||dLoss/dz||, last hidden layer = 0"
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """chi_1 over initial weights and biases.

    Arguments:
        sigma_w: standard deviation of the weights times sqrt(fan_in), `(n,)`.
        sigma_b: standard deviation of the biases, `(m,)`.
        chi_1: the factor on the squared gradient per layer, `(m, n)`.
        setting: the (sigma_w, sigma_b) to mark.
    """

    sigma_w: Array
    sigma_b: Array
    chi_1: Array
    setting: tuple[float, float]


def phase_diagram(
    title: str, plane: Plane | None, profile: Sequence[float | None] | None, why: str = "",
    deviation: float = 0.0, remark: str = "",
) -> Figure:  # fmt: skip
    """The phase diagram with a setting in it, and the gradient that theory predicts for every layer.

    Arguments:
        title: of the figure.
        plane: None where there is no such diagram; the profile then stands alone.
        profile: log10 ||dLoss/dz|| by layer relative to the last hidden layer.
        why: there is no diagram; said under the figure.
        deviation: the standard deviation of the first layer's over initial weights; 0 where it is not known.
        remark: under the figure.
    """
    figure, axes = panels(fill(plain(title), TITLE_WIDTH), 1, 1 if plane is None else 2, (5.4, 4.0))
    if plane is not None:
        name_axes(axes[0, 0], "Gradients by initial weights and biases", "", "")
        _draw_plane(figure, axes[0, 0], plane)
    name_axes(axes[0, -1], "Predicted gradient of every layer", "hidden layer", PROFILE)
    _draw_profile(axes[0, -1], profile or (), deviation)
    zeros = "layers without a point have a gradient of exactly 0" if None in (profile or ()) else ""
    for said in (remark, zeros, why):
        note(figure, said)
    return figure


def _draw_plane(figure: Figure, axes: Axes, plane: Plane) -> None:
    decades = np.log10(np.maximum(plane.chi_1, 1e-12)) / 2
    axes.set_xlabel("sigma_w  (deviation of weights x sqrt(fan_in))", fontsize=10)
    axes.set_ylabel("sigma_b  (deviation of biases)", fontsize=10)
    axes.grid(False)
    shown = axes.contourf(
        plane.sigma_w, plane.sigma_b, decades, levels=LEVELS, cmap="PuOr_r", extend="both", alpha=0.85
    )
    _draw_scales(axes, plane, decades)
    bar = figure.colorbar(shown, ax=axes, shrink=0.85, aspect=30, ticks=LEVELS[::5])
    bar.set_label("decades per layer: - vanishes, + explodes", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    _name_phases(axes, plane, decades)
    _mark(axes, plane)


def _draw_scales(axes: Axes, plane: Plane, decades: Array) -> None:
    """The critical line, and lines on which a gradient changes by a decade in so many layers."""
    levels = sorted(sign / depth for depth in DEPTHS for sign in (-1, 1))
    thin = axes.contour(
        plane.sigma_w, plane.sigma_b, decades, levels=levels, colors=QUIET, linewidths=0.7,
        linestyles="dashed",
    )  # fmt: skip
    line = axes.contour(plane.sigma_w, plane.sigma_b, decades, levels=[0.0], colors="black", linewidths=2.0)
    names = {level: f"10x in {round(1 / abs(level))} layers" for level in levels}
    for drawn, wanted, size in ((thin, levels, 7), (line, [0.0], 9)):
        places = [place for level in wanted for place in _crossing(plane, decades, level)]
        for text in axes.clabel(drawn, fmt=names | {0.0: "critical"}, fontsize=size, manual=places):
            text.set_path_effects([withStroke(linewidth=2, foreground="white")])


def _crossing(plane: Plane, decades: Array, level: float) -> list[tuple[float, float]]:
    """A place on the line of a level, at one height for all lines that get there."""
    for height in NAMED_AT:
        row = int(height * len(plane.sigma_b))
        at = np.flatnonzero(np.diff(np.sign(decades[row] - level)) != 0)
        if len(at):
            return [(float(plane.sigma_w[at[0]]), float(plane.sigma_b[row]))]
    return []


def _name_phases(axes: Axes, plane: Plane, decades: Array) -> None:
    """The word of each phase at the top of its part, in the middle."""
    row = int(WORDS_AT * len(plane.sigma_b))
    for word, part in (
        ("ordered:\ngradients vanish", decades[row] < 0),
        ("chaotic:\ngradients explode", decades[row] > 0),
    ):
        columns = np.flatnonzero(part)
        if len(columns) > NARROWEST * len(part):
            middle = min(float(np.median(plane.sigma_w[columns])), RIGHTMOST * plane.sigma_w[-1])
            axes.text(
                middle, plane.sigma_b[row], word, ha="center", va="center",
                fontsize=9, path_effects=[withStroke(linewidth=3, foreground="white")],
            )  # fmt: skip


def _mark(axes: Axes, plane: Plane) -> None:
    w, b = plane.setting
    axes.plot(
        [w],
        [b],
        marker="*",
        markersize=15,
        color=COLOURS[2],
        markeredgecolor="white",
        clip_on=False,
        zorder=5,
    )
    axes.annotate(
        f"this setting ({w:.3g}, {b:.3g})", (w, b), (8, 9), textcoords="offset points", fontsize=8.5,
        path_effects=[withStroke(linewidth=3, foreground="white")], zorder=6,
        ha="left" if w < plane.sigma_w[-1] * 0.65 else "right",
    )  # fmt: skip


def _draw_profile(axes: Axes, profile: Sequence[float | None], deviation: float) -> None:
    layers = np.arange(1, len(profile) + 1)
    decades = np.array([math.nan if each is None else each for each in profile], dtype=np.float64)
    finite = np.isfinite(decades)
    if not finite.any():
        say_empty(axes, "no profile: see the notes")
        return
    marker = "o" if len(layers) <= 24 else None
    axes.plot(layers[finite], decades[finite], color=COLOURS[0], marker=marker, markersize=4, linewidth=1.6)
    if deviation > 0 and len(layers) > 1:
        spread = deviation * np.sqrt((len(layers) - layers) / (len(layers) - 1))
        axes.fill_between(
            layers, decades - spread, decades + spread, color=COLOURS[0], alpha=0.18, linewidth=0
        )
    axes.axhline(0.0, color=QUIET, linewidth=0.8, linestyle=(0, (5, 3)))
    reach = float(np.abs(decades[finite]).max())
    if reach < 1:
        axes.set_ylim(-1, 1)
    whole_ticks(axes.xaxis, pd.Series(layers))
