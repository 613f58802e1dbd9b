"""Where networks can be trained: the phase diagram, accuracy over depth, accuracy over gradient flow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from vanishgrad.diagnosis.vanishing import DECADES
from vanishgrad.report.figures.canvas import (
    LARGEST,
    MOST_MULTIPLES,
    QUIET,
    SMALLEST,
    literal,
    multiples,
    name_axes,
    note,
    panels,
    say_empty,
    whole_ticks,
    wrapped,
)
from vanishgrad.report.figures.palette import COLOURS, Palette, palette
from vanishgrad.report.figures.series import MISSING, colour_bar, colour_map
from vanishgrad.report.figures.view import divergence_mark, spans_decades

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
class PhasePlane:
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
    title: str, plane: PhasePlane | None, profile: Sequence[float | None] | None, why: str = "",
    deviation: float = 0.0, remark: str = "",
) -> Figure:  # fmt: skip
    """Draw the plane of initial weights and biases with a setting in it, and the predicted gradient by layer.

    Arguments:
        title: of the figure.
        plane: None where there is no such diagram; the profile then stands alone.
        profile: log10 ||dLoss/dz|| by layer relative to the last hidden layer; None: exactly 0.
        why: there is no diagram; written under the figure.
        deviation: the standard deviation of the first layer's value over initial weights; 0 where it is not
            predicted.
        remark: written under the figure.

    Example:
        >>> figure = phase_diagram("relu, depth 3", None, [-0.4, -0.2, 0.0], why="no diagram for a CNN")
        >>> [axes.get_title() for axes in figure.axes]
        ['Predicted gradient of every layer']
    """
    figure, axes = panels(fill(literal(title), TITLE_WIDTH), 1, 1 if plane is None else 2, (5.4, 4.0))
    if plane is not None:
        name_axes(axes[0, 0], "Gradients by initial weights and biases", "", "")
        _draw_plane(figure, axes[0, 0], plane)
    name_axes(axes[0, -1], "Predicted gradient of every layer", "hidden layer", PROFILE)
    _draw_profile(axes[0, -1], profile or (), deviation)
    zeros = "layers without a point have a gradient of exactly 0" if None in (profile or ()) else ""
    for text in (remark, zeros, why):
        note(figure, text)
    return figure


def _draw_plane(figure: Figure, axes: Axes, plane: PhasePlane) -> None:
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


def _draw_scales(axes: Axes, plane: PhasePlane, decades: Array) -> None:
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


def _crossing(plane: PhasePlane, decades: Array, level: float) -> list[tuple[float, float]]:
    """A place on the line of a level, at one height for all lines that get there."""
    for height in NAMED_AT:
        row = int(height * len(plane.sigma_b))
        at = np.flatnonzero(np.diff(np.sign(decades[row] - level)) != 0)
        if len(at):
            return [(float(plane.sigma_w[at[0]]), float(plane.sigma_b[row]))]
    return []


def _name_phases(axes: Axes, plane: PhasePlane, decades: Array) -> None:
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


def _mark(axes: Axes, plane: PhasePlane) -> None:
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


MOST_TICKS = 10
LINE = "#ffffff"
EDGE = "#000000"


def trainability_map(reached: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw the final accuracy (or loss) as colour over depth and a second number: a panel per setting.

    Dashed: the depth that theory allows, six depth scales xi_c (Schoenholz et al. 2017).

    Arguments:
        reached: a row per run: `depth`, `x` and its name `key`; `reached`, and `what` that is (accuracy or
            loss); `trainable_depth`, NaN where theory predicts nothing; `setting`.
        colours: not used.

    Example:
        >>> import pandas as pd
        >>> cells = [(depth, x, 1 / depth) for depth in (5, 50) for x in (1.0, 2.0)]
        >>> rows = pd.DataFrame(cells, columns=["depth", "x", "reached"]).assign(trainable_depth=20.0)
        >>> figure = trainability_map(rows.assign(key="init.sigma_w", what="accuracy", setting="act=tanh"))
        >>> figure.axes[0].get_xlabel()
        'init.sigma_w'
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
        name_axes(each, setting, literal(key), "depth (hidden layers)")
        mesh = _draw(each, rows, scale) or mesh
    if mesh is not None:
        colour_bar(figure, mesh, axes, f"validation {what} at the end", below=False)
    note(figure, "; ".join(_map_notes(reached, len(settings))))
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
    has_theory = np.isfinite(depth.to_numpy(float))
    if not has_theory.any() or len(depths) < 2:
        return
    place = np.interp(
        np.log(depth.to_numpy(float)),
        np.log(np.maximum(depths, 0.5)),
        centres,
        left=-1.0,
        right=len(depths) + 1.0,
    )
    place = np.where(has_theory, place, np.nan)
    x = np.arange(len(grid.columns)) + 0.5
    axes.plot(x, place, color=EDGE, linewidth=3.4, alpha=0.6)
    axes.plot(x, place, color=LINE, linewidth=2.0, linestyle=(0, (4, 2)))
    axes.set_ylim(bottom, top)


def _map_notes(reached: pd.DataFrame, panels: int) -> list[str]:
    remarks = ["mean over seeds"] if reached.duplicated(["setting", "depth", "x"]).any() else []
    if np.isfinite(reached["trainable_depth"]).any():
        remarks.append("dashed: 6 xi_c, the depth that mean-field theory allows")
    if not np.isfinite(reached["reached"]).all():
        remarks.append("grey: not tried, or no finite value")
    settings = reached["setting"].nunique()
    return remarks + [f"the first {panels} of {settings} settings"] * (settings > panels)


FACTOR = 10**DECADES  # across the layers, from which a network that does not learn is called vanishing
PASSES = (1 / FACTOR, FACTOR)
BAND = "#dff0e8"
MOST_NAMED = 4  # of settings too many for a legend
WIDEST = 24.0  # decades on either side


def flow_and_learning(flow: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw what each run reached over the part of the gradient that arrives at its first layer, or time step.

    Small dots are seeds, large ones their median; the green band is what no diagnosis calls vanishing.

    Arguments:
        flow: a row per run: `ratio`, the norm at the first hidden layer (or time step) over that at the
            last, in the initial network; `reached`, and `what` that is (accuracy or loss); `where` the ratio
            was taken (layer or time step); `setting, status`.
        colours: of the settings, see `palette`; None: their own.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"setting": ["act=relu", "act=sigmoid"], "ratio": [0.9, 1e-9]})
        >>> rows = rows.assign(reached=[0.9, 0.1])
        >>> rows = rows.assign(run=["0", "1"], status="completed", where="layer", what="accuracy")
        >>> flow_and_learning(rows).axes[0].get_ylabel()
        'validation accuracy at the end'
    """
    colours = colours or palette(flow["setting"])
    where, what = str(flow["where"].iloc[0]), str(flow["what"].iloc[0])
    groups = colours.panels or (colours.labels,)
    names = [wrapped(label) for label in colours.labels] if colours.panels else []
    title, height = "Does the gradient get through, and does it learn?", 4.0 if len(groups) == 1 else 2.8
    figure, axes = panels(title, len(groups), 1, (6.6, height), names)
    shown = flow.assign(ratio=_shown(flow["ratio"], flow["reached"]))
    for each, labels in zip(axes[:, 0], groups, strict=True):
        _draw_panel(each, shown, labels, colours)
        name_axes(
            each,
            "",
            f"gradient at the first {where} / at the last, at the start",
            f"validation {what} at the end",
        )
        _set_axes(each, shown, what)
    note(figure, "; ".join(_flow_notes(flow, shown)))
    return figure


def _shown(ratio: pd.Series[float], reached: pd.Series[float]) -> pd.Series[float]:
    """Ratios that the axis has room for, the others at its border; NaN without something to show them at."""
    low, high = max(SMALLEST, 10**-WIDEST), min(LARGEST, 10**WIDEST)
    return ratio.clip(low, high).where(np.isfinite(reached) & (ratio > 0))


def _draw_panel(axes: Axes, flow: pd.DataFrame, labels: Sequence[str], colours: Palette) -> None:
    axes.axvspan(*PASSES, color=BAND, linewidth=0, zorder=0.5)
    axes.axvline(1.0, color=QUIET, linestyle=(0, (1, 2)), linewidth=1.2)
    rows_of = dict(iter(flow.groupby("setting", sort=False)))
    for label in labels:
        rows = rows_of.get(label, flow.iloc[:0])
        _draw_setting(axes, rows, label, colours, named=bool(colours.panels))
    if colours.panels:
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)
    else:
        _name_best(axes, flow)


def _draw_setting(axes: Axes, rows: pd.DataFrame, label: str, colours: Palette, *, named: bool) -> None:
    """Small dots are seeds, the large one is their middle."""
    seen = rows.dropna(subset=["ratio", "reached"])
    colour, marker = colours.colours[label], colours.markers[label] if named else "o"
    text = wrapped(label) + divergence_mark(rows) + ("" if len(seen) else " (not in the picture)")
    middle = [10 ** np.log10(seen["ratio"]).median()], [seen["reached"].median()]
    if len(seen) > 1:
        axes.plot(
            seen["ratio"],
            seen["reached"],
            marker,
            color=colour,
            markersize=3.5,
            alpha=0.45,
            markeredgewidth=0,
        )
    axes.plot(
        *(middle if len(seen) else ([], [])), marker, color=colour, markersize=9 if named else 6,
        linestyle="none", alpha=1.0 if named else 0.6, markeredgecolor="white", markeredgewidth=0.8,
        label=text,
    )  # fmt: skip


def _name_best(axes: Axes, flow: pd.DataFrame) -> None:
    """Of very many settings the best are named next to the picture."""
    rows = flow.dropna(subset=["ratio", "reached"])
    middle = rows.groupby("setting", sort=False)[["ratio", "reached"]].median()
    is_loss = not rows.empty and rows["what"].iloc[0] == "loss"
    best = middle.sort_values("reached", ascending=is_loss, kind="stable").head(MOST_NAMED)
    line = {"arrowstyle": "-", "color": QUIET, "linewidth": 0.7, "relpos": (0.0, 0.5)}
    for place, (setting, row) in enumerate(best.iterrows()):
        axes.annotate(
            wrapped(str(setting)), (row["ratio"], row["reached"]), (1.04, 0.97 - 0.13 * place),
            textcoords="axes fraction", fontsize=8.5, va="center", arrowprops=line, annotation_clip=False,
        )  # fmt: skip


def _set_axes(axes: Axes, flow: pd.DataFrame, what: str) -> None:
    """The same in every panel: the whole of accuracy, and room around the band."""
    axes.set_xscale("log")
    seen = flow["ratio"].dropna()
    low, high = (
        min(seen.min() if len(seen) else inf, PASSES[0]),
        max(seen.max() if len(seen) else 0, PASSES[1]),
    )
    axes.set_xlim(low / 10, high * 10)
    if what == "accuracy":
        axes.set_ylim(-0.03, 1.03)
    elif spans_decades(flow["reached"]):
        axes.set_yscale("log")


def _flow_notes(flow: pd.DataFrame, shown: pd.DataFrame) -> list[str]:
    remarks = [f"green: passes (within a factor of {FACTOR:g})"]
    if flow["setting"].duplicated().any():
        remarks.append("small: one seed, large: median")
    missing = int(shown["ratio"].isna().sum())
    if missing:
        remarks.append(f"{missing} of {len(flow)} runs have no ratio or no final value")
    beyond = np.log10(flow["ratio"].where(flow["ratio"] > 0)).abs() > WIDEST
    return remarks + [f"beyond {WIDEST:g} decades at the border"] * bool(beyond.any())
