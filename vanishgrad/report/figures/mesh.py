"""Heat maps: numbers as colours in a grid."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vanishgrad.report.figures.canvas import loggable, name_axes, panels, plain, say_empty, whole_ticks
from vanishgrad.report.figures.palette import Palette
from vanishgrad.report.figures.view import COUNTED, View, over_seeds

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
    """`grid` with its columns along x and its rows along y, each cell centred on its place in the index."""
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
    """The key to the colours; `below` the axes, else beside them."""
    location, aspect, shrink = ("bottom", 40, 1.0) if below else ("right", 30, 0.8)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    beyond = extend[_reaches_beyond(mesh)]
    figure.colorbar(
        mesh, ax=axes, label=label, location=location, aspect=aspect, shrink=shrink, extend=beyond
    )


def draw_setting_maps(title: str, views: Sequence[View], colours: Palette) -> Figure:
    """A map per view with a row per setting, the first on top."""
    height = max(3.0, 0.2 * len(colours.labels) + 1.2)
    figure, axes = panels(title, 1, len(views), (4.6, height), colours.labels)
    for column, view in enumerate(views):
        name_axes(axes[0, column], view.title, view.x_label, "setting" if column == 0 else "")
        alike = pd.concat([other.frame for other in views if other.y == view.y])
        _draw_map(figure, axes[0, column], view, scale_of(alike, view.y, log=view.is_log), colours.labels)
        names = [plain(label) if column == 0 else "" for label in colours.labels]
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
