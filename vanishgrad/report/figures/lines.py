"""Lines over layers or steps: one per setting, with a band over its seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vanishgrad.report.figures.canvas import (
    QUIET,
    loggable,
    name_axes,
    panels,
    say_empty,
    share_limits,
    whole_ticks,
    wrapped,
)
from vanishgrad.report.figures.palette import Palette
from vanishgrad.report.figures.view import COUNTED, NEAR, Reference, View, divergence_mark, over_seeds

MOST_MARKERS = 24
MOST_LARGE = 20  # crosses
DASHES = (0, (5, 3))


def draw_lines(title: str, views: Sequence[View], colours: Palette) -> Figure:
    """A column of panels per view, a row per panel of the palette; the legend stands beside its row."""
    width = 4.6 if len(views) > 1 else 7.0
    names = [wrapped(label) for label in colours.labels]
    lines = max(sum(wrapped(label).count("\n") + 1 for label in labels) for labels in colours.panels)
    figure, axes = panels(
        title, len(colours.panels), len(views), (width, max(3.1, 0.16 * lines + 0.7)), names
    )
    for row, labels in enumerate(colours.panels):
        for column, view in enumerate(views):
            _draw_panel(axes[row, column], view, labels, colours)
        _legend(axes[row, -1], views, labels, colours)
    for y in dict.fromkeys(view.y for view in views):
        share_limits(axes[:, column] for column, view in enumerate(views) if view.y == y)
    return figure


def _draw_panel(axes: Axes, view: View, labels: Sequence[str], colours: Palette) -> None:
    name_axes(axes, view.title, view.x_label, view.y_label)
    drawn = [_draw_setting(axes, view, label, colours) for label in labels]
    if not any(drawn):
        say_empty(axes, "no value above zero" if view.is_log else "nothing to show")
    elif view.is_log:
        axes.set_yscale("log")
    elif view.limits is not None:
        axes.set_ylim(*view.limits)
    if view.x in NEAR:
        axes.set_xscale("log")
    if view.x in COUNTED:
        whole_ticks(axes.xaxis, view.frame.loc[np.isfinite(view.frame[view.y]), view.x])
    for reference in view.references if any(drawn) else ():
        draw_reference(axes, reference, log=view.is_log)


def draw_reference(axes: Axes, reference: Reference, *, log: bool) -> None:
    """A dashed line, and what it is below its left end."""
    level = reference.level
    low, high = axes.get_xlim()
    line = pd.Series([level, level], [low, high]) if isinstance(level, float) else level
    values = np.asarray(line, dtype=np.float64)
    values = loggable(values) if log else values
    if not np.isfinite(values[0]):
        return
    axes.plot(line.index, values, color=QUIET, linestyle=DASHES, linewidth=1.2, zorder=1.5)
    place = (float(line.index[0]), float(values[0]))
    axes.annotate(
        reference.text, place, (3, -2), textcoords="offset points", fontsize=8, color=QUIET, va="top"
    )
    axes.set_xlim(low, high)


def _draw_setting(axes: Axes, view: View, label: str, colours: Palette) -> bool:
    """Whether there was anything to draw."""
    rows = view.of(label)
    band = over_seeds(rows, view.x, view.y, log=view.is_log)
    if band.empty:
        return False
    if view.x in COUNTED:
        band = band.reindex(np.unique(rows[view.x]))  # a layer without a value interrupts the line
    colour = colours.colours[label]
    lone = bool(band["middle"].isna().any())
    marker = colours.markers[label] if lone or len(band) <= MOST_MARKERS else None
    axes.plot(band.index, band["middle"], color=colour, marker=marker, markersize=4, linewidth=1.6)
    axes.fill_between(band.index, band["low"], band["high"], color=colour, alpha=0.18, linewidth=0)
    if view.has_theory:
        _draw_theory(axes, rows, view, colour)
    if view.x == "step":
        _mark_divergence(axes, rows, view, colour)
    return True


def _draw_theory(axes: Axes, rows: pd.DataFrame, view: View, colour: str) -> None:
    """What theory says of a setting, over its measurement; dark edges tell the dashes from it."""
    assert view.theory is not None
    middle = over_seeds(rows, view.x, view.theory, log=view.is_log)["middle"]
    axes.plot(middle.index, middle, color="black", linewidth=2.4, linestyle=DASHES, alpha=0.55)
    axes.plot(middle.index, middle, color=colour, linewidth=1.2, linestyle=DASHES)


def _mark_divergence(axes: Axes, rows: pd.DataFrame, view: View, colour: str) -> None:
    """A cross at the last finite value of each run that diverged."""
    finite = rows[(rows["status"] == "diverged") & np.isfinite(rows[view.y])]
    if view.is_log:
        finite = finite[finite[view.y] > 0]
    ends = finite.sort_values("step").groupby("run").tail(1)
    if len(ends):
        size = 9.0 if len(ends) <= MOST_LARGE else 4.0
        axes.plot(ends["step"], ends[view.y], "x", color=colour, markersize=size, markeredgewidth=size / 4)


def _legend(axes: Axes, views: Sequence[View], labels: Iterable[str], colours: Palette) -> None:
    """Beside the last panel of a row, so that it hides no data."""
    for label in labels:
        rows = pd.concat([view.of(label) for view in views])
        measured = any(np.isfinite(view.of(label)[view.y]).any() for view in views)
        mark = divergence_mark(rows) if measured else " (not recorded)"
        axes.plot(
            [],
            [],
            color=colours.colours[label],
            marker=colours.markers[label],
            markersize=4,
            label=wrapped(label) + mark,
        )
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)
