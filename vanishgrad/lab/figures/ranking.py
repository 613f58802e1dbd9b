"""Remedies side by side: what they reach, and what their steps cost."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vanishgrad.report.figures.canvas import QUIET, name_axes, note, panels
from vanishgrad.report.figures.palette import COLOURS

ALONE, PAIR, UNTREATED = COLOURS[0], COLOURS[2], COLOURS[1]
ROW = 0.27  # inches


def ranking(reached: pd.DataFrame, costs: pd.DataFrame) -> Figure:
    """What every remedy reaches, a dot per seed and a bar for the mean, the best on top; and its cost.

    Arguments:
        reached: `remedy, kind (none, alone or pair), seed, accuracy`.
        costs: `remedy, seed, cost`: seconds per step, divided by the untreated network's.
    """
    order = list(reached.groupby("remedy")["accuracy"].mean().sort_values().index)
    figure, axes = panels("Remedies for one failing network", 1, 2, (4.6, ROW * len(order) + 0.8), order)
    left, right = axes[0]
    for place, name in enumerate(order):
        rows = reached[reached["remedy"] == name]
        colour = {"none": UNTREATED, "pair": PAIR}.get(str(rows["kind"].iloc[0]), ALONE)
        _dots(left, rows["accuracy"], place, colour)
        _dots(right, costs.loc[costs["remedy"] == name, "cost"], place, colour)
    left.set_yticks(range(len(order)), order, fontsize=9)
    right.set_yticks(range(len(order)), [])
    for each in (left, right):
        each.set_ylim(-0.6, len(order) - 0.4)
    left.set_xlim(-0.02, 1.02)
    right.axvline(1.0, color=QUIET, linewidth=1.0, linestyle=(0, (4, 3)))
    name_axes(left, "what it reaches", "accuracy on held-out digits", "")
    name_axes(right, "what a step costs", "time / untreated", "")
    note(figure, "dot: one seed, bar: mean; blue: one remedy, green: two, orange: untreated; costs of pairs "
                 "are not measured")  # fmt: skip
    return figure


def _dots(axes: Axes, values: pd.Series[float], place: int, colour: str) -> None:
    if values.empty:
        return
    axes.plot(values, [place] * len(values), "o", color=colour, markersize=4.5, alpha=0.6)
    axes.plot(values.mean(), place, "|", color=colour, markersize=13, markeredgewidth=2.5)
