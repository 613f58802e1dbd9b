"""Lines over any number: a rate, the size of a batch, a step; the median over seeds and the band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from vanishgrad.report.figures import Palette
from vanishgrad.report.figures.canvas import name_axes, note, panels

PANEL = (4.4, 3.4)
MOST_MARKERS = 12
BAND = "line: median over seeds, band: smallest to largest"


@dataclass(frozen=True, eq=False)
class Curves:
    """One panel: `y` over `x` in the rows of `frame`, a line for each `setting`.

    Arguments:
        frame: rows with the columns `setting, seed` and those shown.
        x, y: columns.
        title, x_label, y_label: of the panel.
        log: the axes that are logarithmic: "", "x", "y" or "xy".
        fixed: the ends of the y axis; None leaves them to the values.
    """

    frame: pd.DataFrame
    x: str
    y: str
    title: str
    x_label: str
    y_label: str
    log: str = "x"
    fixed: tuple[float, float] | None = None


def draw_curves(title: str, curves: Sequence[Curves], colours: Palette) -> Figure:
    """The panels side by side, with one legend."""
    figure, axes = panels(title, 1, len(curves), PANEL, colours.labels)
    for each, panel in zip(axes[0], curves, strict=True):
        _draw(each, panel, colours)
    for label in colours.labels:
        axes[0, -1].plot([], [], color=colours.colours[label], marker=colours.markers[label], label=label)
    axes[0, -1].legend(
        loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False, markerscale=0.7
    )
    note(figure, BAND)
    return figure


def _draw(axes: Axes, panel: Curves, colours: Palette) -> None:
    name_axes(axes, panel.title, panel.x_label, panel.y_label)
    for label in colours.labels:
        rows = panel.frame[panel.frame["setting"] == label]
        if rows.empty:
            continue
        by_x = rows.groupby(panel.x)[panel.y].agg(["median", "min", "max"])
        colour = colours.colours[label]
        marker = colours.markers[label] if len(by_x) <= MOST_MARKERS else None
        axes.plot(by_x.index, by_x["median"], color=colour, marker=marker, markersize=4, linewidth=1.6)
        axes.fill_between(by_x.index, by_x["min"], by_x["max"], color=colour, alpha=0.18, linewidth=0)
    if "x" in panel.log:
        axes.set_xscale("log")
        axes.set_xticks(sorted(panel.frame[panel.x].unique()))
        plain_numbers(axes.xaxis)
    if "y" in panel.log:
        axes.set_yscale("log")
    if panel.fixed is not None:
        axes.set_ylim(*panel.fixed)


def plain_numbers(axis: Axis) -> None:
    """Numbers such as 0.03 at the ticks of a logarithmic axis, and nothing between them."""
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())
