"""Where networks can be trained: what they reach over depth and one more number."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from vanishgrad.report.figures.canvas import name_axes, note, plain, say_empty
from vanishgrad.report.figures.mesh import MISSING, colour_bar, colour_map
from vanishgrad.report.figures.multiples import MOST_MULTIPLES, multiples
from vanishgrad.report.figures.palette import Palette

MOST_TICKS = 10
LINE = "#ffffff"
EDGE = "#000000"


def trainability_map(reached: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Final accuracy (or loss) as colour over depth and a second number, and the depth that theory allows.

    Columns: `depth`, `x` and its name `key`; `reached`, and `what` that is; `trainable_depth`, six depth
    scales xi_c (Schoenholz et al. 2017), NaN where theory says nothing. A panel per `setting`.
    """
    settings = list(dict.fromkeys(reached["setting"]))[:MOST_MULTIPLES]
    key, what = str(reached["key"].iloc[0]), str(reached["what"].iloc[0])
    figure, axes = multiples(f"Trainability: final validation {what} by depth", len(settings))
    if len(settings) == 1:
        figure.set_size_inches(7.2, 4.8)
    scale = _scale(reached["reached"], what)
    mesh = None
    for each, setting in zip(axes, settings, strict=True):
        rows = reached[reached["setting"] == setting]
        name_axes(each, setting, plain(key), "depth (hidden layers)")
        mesh = _draw(each, rows, scale) or mesh
    if mesh is not None:
        colour_bar(figure, mesh, axes, f"validation {what} at the end", below=False)
    note(figure, "; ".join(_notes(reached, len(settings))))
    return figure


def _scale(values: pd.Series[float], what: str) -> Normalize:
    """The whole of accuracy, else the range of what was reached."""
    finite = values[np.isfinite(values)]
    if what == "accuracy" or finite.empty:
        return Normalize(0.0, 1.0)
    return Normalize(float(finite.min()), max(float(finite.max()), float(finite.min()) + 1e-9))


def _draw(axes: Axes, rows: pd.DataFrame, scale: Normalize) -> QuadMesh | None:
    """Cells of even size, whatever the steps of the sweep; the mean over seeds."""
    finite = rows.assign(reached=rows["reached"].where(np.isfinite(rows["reached"])))
    grid = finite.pivot_table(index="depth", columns="x", values="reached", aggfunc="mean", dropna=False)
    if grid.empty or not np.isfinite(grid.to_numpy(float)).any():
        say_empty(axes)
        return None
    axes.grid(False)
    values = np.ma.masked_invalid(grid.to_numpy(float))
    mesh = axes.pcolormesh(values, norm=scale, cmap=colour_map(), rasterized=True)
    axes.set_facecolor(MISSING)
    _name_ticks(axes, grid)
    _draw_theory(axes, rows, grid)
    return mesh


def _name_ticks(axes: Axes, grid: pd.DataFrame) -> None:
    for axis, names in ((axes.xaxis, grid.columns), (axes.yaxis, grid.index)):
        chosen = np.unique(np.linspace(0, len(names) - 1, min(len(names), MOST_TICKS)).round().astype(int))
        axis.set_ticks(chosen + 0.5, [f"{names[place]:g}" for place in chosen])


def _draw_theory(axes: Axes, rows: pd.DataFrame, grid: pd.DataFrame) -> None:
    """The depth down to which theory lets two inputs be told apart, between the centres of the cells."""
    depth = rows.groupby("x")["trainable_depth"].median().reindex(grid.columns)
    depths = grid.index.to_numpy(float)
    bottom, top = axes.get_ylim()
    centres = np.arange(len(depths)) + 0.5
    known = np.isfinite(depth.to_numpy(float))
    if not known.any() or len(depths) < 2:
        return
    place = np.interp(
        np.log(depth.to_numpy(float)),
        np.log(np.maximum(depths, 0.5)),
        centres,
        left=-1.0,
        right=len(depths) + 1.0,
    )
    place = np.where(known, place, np.nan)
    x = np.arange(len(grid.columns)) + 0.5
    axes.plot(x, place, color=EDGE, linewidth=3.4, alpha=0.6)
    axes.plot(x, place, color=LINE, linewidth=2.0, linestyle=(0, (4, 2)))
    axes.set_ylim(bottom, top)


def _notes(reached: pd.DataFrame, panels: int) -> list[str]:
    said = ["mean over seeds"] if reached.duplicated(["setting", "depth", "x"]).any() else []
    if np.isfinite(reached["trainable_depth"]).any():
        said.append("dashed: 6 xi_c, the depth that mean-field theory allows")
    if not np.isfinite(reached["reached"]).all():
        said.append("grey: not tried, or no finite value")
    settings = reached["setting"].nunique()
    return said + [f"the first {panels} of {settings} settings"] * (settings > panels)
