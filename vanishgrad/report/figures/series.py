"""Views of many settings side by side: lines while they can be told apart, else a heat map."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vanishgrad.report.figures.canvas import (
    QUIET,
    literal,
    log_notes,
    loggable,
    name_axes,
    note,
    panels,
    say_empty,
    share_limits,
    whole_ticks,
    wrapped,
)
from vanishgrad.report.figures.palette import Palette
from vanishgrad.report.figures.view import (
    COUNTED,
    NEAR,
    Reference,
    View,
    band_note,
    divergence_mark,
    over_seeds,
)


def draw_views(title: str, views: Sequence[View], colours: Palette) -> Figure:
    """Draw lines for up to 24 settings, at most eight a panel; beyond that a heat map of setting and x."""
    if colours.panels:
        figure = draw_lines(title, views, colours)
        note(figure, _line_notes(views))
    else:
        figure = draw_setting_maps(title, views, colours)
        note(figure, "median over seeds; grey: no finite value above zero, or not reached")
    return figure


def _line_notes(views: Sequence[View]) -> str:
    band = band_note(pd.concat([view.frame[["run", "setting"]] for view in views]))
    remarks = [band] if band else []
    logs = [view.frame[view.y] for view in views if view.is_log]
    remarks += log_notes(pd.concat(logs)) if logs else []
    if any(view.has_theory for view in views):
        remarks.append("dashed: mean-field theory, from the last hidden layer down")
    if any(view.x == "step" and (view.frame["status"] == "diverged").any() for view in views):
        remarks.append("x: the last finite value of a run that diverged")
    return "; ".join(remarks)


MOST_MARKERS = 24
MOST_LARGE = 20  # crosses
DASHES = (0, (5, 3))


def draw_lines(title: str, views: Sequence[View], colours: Palette) -> Figure:
    """Draw a column of panels per view, a row per panel of the palette, each row's legend on its right."""
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
    """Draw a dashed line, with its text below its left end."""
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
        _draw_theory(axes, rows, view)
    if view.x == "step":
        _mark_divergence(axes, rows, view, colour)
    return True


def _draw_theory(axes: Axes, rows: pd.DataFrame, view: View) -> None:
    """Draw the prediction for a setting as thin dashes over its measurement."""
    assert view.theory is not None
    middle = over_seeds(rows, view.x, view.theory, log=view.is_log)["middle"]
    axes.plot(middle.index, middle, color="black", linewidth=1.1, linestyle=(0, (3, 3)), zorder=3)


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
    """Next to the last panel of a row, so that it hides no data."""
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


MISSING = "#d9d9d9"
ROUNDING = 1e-9


def colour_map() -> Colormap:
    """Viridis (colour-blind safe, monotone in lightness); grey where there is nothing to show."""
    return colormaps["viridis"].with_extremes(bad=MISSING)


def scale_of(rows: pd.DataFrame, column: str, *, log: bool) -> Normalize | None:
    """The colour scale of a column, or None without a finite value.

    Runs that diverged do not stretch it: thirty decades of theirs would leave one colour for all others.
    """
    calm = rows[rows["status"] != "diverged"]
    for chosen in (calm, rows):
        values = chosen[column].to_numpy(dtype=float)
        shown = loggable(values) if log else values
        shown = shown[np.isfinite(shown)]
        if shown.size:
            return _scale(float(shown.min()), float(shown.max()), log=log)
    return None


def draw_mesh(axes: Axes, grid: pd.DataFrame, scale: Normalize) -> QuadMesh:
    """Draw `grid`, its columns along x and rows along y, each cell centred on its place in the index."""
    values = grid.to_numpy(dtype=float)
    shown = loggable(values) if isinstance(scale, LogNorm) else values
    axes.grid(False)
    return axes.pcolormesh(
        _edges(grid.columns.to_numpy(dtype=float)),
        _edges(grid.index.to_numpy(dtype=float)),
        np.ma.masked_invalid(shown),
        norm=scale,
        cmap=colour_map(),
        rasterized=True,
    )


def colour_bar(
    figure: Figure, mesh: QuadMesh, axes: Axes | Sequence[Axes], label: str, *, below: bool
) -> None:
    """Add the key to the colours, `below` the axes or next to them."""
    location, aspect, shrink = ("bottom", 40, 1.0) if below else ("right", 30, 0.8)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    beyond = extend[_reaches_beyond(mesh)]
    figure.colorbar(
        mesh, ax=axes, label=label, location=location, aspect=aspect, shrink=shrink, extend=beyond
    )


def draw_setting_maps(title: str, views: Sequence[View], colours: Palette) -> Figure:
    """Draw a heat map per view with a row per setting, the first on top."""
    height = max(3.0, 0.2 * len(colours.labels) + 1.2)
    settings = [literal(label) for label in colours.labels]
    figure, axes = panels(title, 1, len(views), (4.6, height), settings)
    for column, view in enumerate(views):
        name_axes(axes[0, column], view.title, view.x_label, "setting" if column == 0 else "")
        alike = pd.concat([other.frame for other in views if other.y == view.y])
        _draw_map(figure, axes[0, column], view, scale_of(alike, view.y, log=view.is_log), colours.labels)
        names = settings if column == 0 else [""] * len(settings)
        axes[0, column].set_yticks(range(len(names)), names, fontsize=8)
    return figure


def _draw_map(figure: Figure, axes: Axes, view: View, scale: Normalize | None, labels: Sequence[str]) -> None:
    if scale is None:
        say_empty(axes)
        return
    lines = [over_seeds(view.of(label), view.x, view.y, log=view.is_log)["middle"] for label in labels]
    grid = pd.DataFrame(lines, index=range(len(labels))).sort_index(axis=1)
    mesh = draw_mesh(axes, grid, scale)
    axes.invert_yaxis()
    if view.x in COUNTED:
        whole_ticks(axes.xaxis, view.frame[view.x])
    colour_bar(figure, mesh, axes, view.y_label, below=True)


def _reaches_beyond(mesh: QuadMesh) -> tuple[bool, bool]:
    """Whether there are values below and above the scale of colours."""
    places = np.ma.compressed(mesh.norm(np.ma.asarray(mesh.get_array())))  # 0 to 1 on the scale
    return bool((places < -ROUNDING).any()), bool((places > 1 + ROUNDING).any())


def _scale(low: float, high: float, *, log: bool) -> Normalize:
    """A scale with some width, whatever the values."""
    if log:
        return LogNorm(low, high if high > low else low * 10)
    return Normalize(low, high if high > low else low + 1)


def _edges(centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """The borders between cells around increasing `centres`."""
    if centres.size == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])
