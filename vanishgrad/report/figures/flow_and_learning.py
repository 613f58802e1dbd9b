"""The question of a report in one picture: does the gradient get through, and does the setting learn?"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vanishgrad.report.figures.canvas import LARGEST, QUIET, SMALLEST, name_axes, note, panels, wrapped
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.view import divergence_mark, spans_decades

PASSES = (1e-2, 1e2)  # a factor of 100 across the layers is called vanishing or exploding
BAND = "#dff0e8"
MOST_NAMED = 4  # of settings too many for a legend
WIDEST = 24.0  # decades on either side


def flow_and_learning(flow: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """What a run reached over the share of the gradient that arrives at the first layer, or time step.

    Columns `ratio`: norm at the first hidden layer (or time step) over that at the last, in the initial
    network; `reached`, and `what` that is: accuracy or loss; `where` the ratio was taken: layer or time step.
    """
    colours = colours or palette(flow["setting"])
    where, what = str(flow["where"].iloc[0]), str(flow["what"].iloc[0])
    groups = colours.panels or (colours.labels,)
    names = [wrapped(label) for label in colours.labels] if colours.panels else []
    title, height = "Does the gradient get through, and does it learn?", 4.0 if len(groups) == 1 else 2.8
    figure, axes = panels(title, len(groups), 1, (6.6, height), names)
    known = flow.assign(ratio=_shown(flow["ratio"], flow["reached"]))
    for each, labels in zip(axes[:, 0], groups, strict=True):
        _draw_panel(each, known, labels, colours)
        name_axes(
            each,
            "",
            f"gradient at the first {where} / at the last, at the start",
            f"validation {what} at the end",
        )
        _set_axes(each, known, what)
    note(figure, "; ".join(_notes(flow, known)))
    return figure


def _shown(ratio: pd.Series[float], reached: pd.Series[float]) -> pd.Series[float]:
    """Ratios that the axis has room for, the others at its border; NaN without something to show them at."""
    low, high = max(SMALLEST, 10**-WIDEST), min(LARGEST, 10**WIDEST)
    return ratio.clip(low, high).where(np.isfinite(reached) & (ratio > 0))


def _draw_panel(axes: Axes, flow: pd.DataFrame, labels: Sequence[str], colours: Palette) -> None:
    axes.axvspan(*PASSES, color=BAND, linewidth=0, zorder=0.5)
    axes.axvline(1.0, color=QUIET, linestyle=(0, (1, 2)), linewidth=1.2)
    for label in labels:
        rows = flow[flow["setting"] == label]
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
    """Of very many settings the best are named beside the picture."""
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


def _notes(flow: pd.DataFrame, shown: pd.DataFrame) -> list[str]:
    said = ["green: passes (within a factor of 100)"]
    if flow["setting"].duplicated().any():
        said.append("small: one seed, large: median")
    missing = int(shown["ratio"].isna().sum())
    if missing:
        said.append(f"{missing} of {len(flow)} runs have no ratio or no final value")
    beyond = np.log10(flow["ratio"].where(flow["ratio"] > 0)).abs() > WIDEST
    return said + [f"beyond {WIDEST:g} decades at the border"] * bool(beyond.any())
