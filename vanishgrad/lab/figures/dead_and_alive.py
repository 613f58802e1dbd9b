"""Dead units and accuracy side by side, a line per remedy."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vanishgrad.lab.colours import OF_CHOICE
from vanishgrad.report.figures.canvas import QUIET, name_axes, note, panels
from vanishgrad.report.figures.view import FRACTION_LIMITS

LINE = 0.3  # inches
NOTE = "hollow: before training, full: after it; a dot per seed; dashed: what the claim asks for"


def dead_and_alive(title: str, parts: dict[str, pd.DataFrame]) -> Figure:
    """A row of panels for each part: the fraction of dead units before and after, and the accuracy.

    Arguments:
        title: of the figure.
        parts: by title; rows with `remedy, seed, dead_before, dead_after, accuracy`.
    """
    most = max(rows["remedy"].nunique() for rows in parts.values())
    figure, axes = panels(title, len(parts), 2, (4.6, 0.9 + LINE * most))
    for (left, right), (name, rows) in zip(axes, parts.items(), strict=True):
        order = list(dict.fromkeys(rows["remedy"]))
        for each, what in ((left, "fraction of units that are dead"), (right, "fraction correct, held-out")):
            name_axes(each, name, what, "")
            each.set_yticks(range(len(order)), order)
            each.set_ylim(len(order) - 0.4, -0.6)
            each.set_xlim(*FRACTION_LIMITS)
        right.axvline(0.9, color=QUIET, linestyle=(0, (4, 3)), linewidth=1.2)
        for place, label in enumerate(order):
            own, colour = rows[rows["remedy"] == label], OF_CHOICE[label]
            _dots(left, own["dead_before"], place, colour, filled=False)
            _dots(left, own["dead_after"], place, colour)
            _dots(right, own["accuracy"], place, colour)
    note(figure, NOTE)
    return figure


def _dots(axes: Axes, values: pd.Series[float], place: int, colour: str, *, filled: bool = True) -> None:
    face = colour if filled else "white"
    axes.plot(
        values, [place] * len(values), "o", color=colour, markerfacecolor=face,
        markersize=5.5 if filled else 7, alpha=0.8 if filled else 1.0, zorder=3 if filled else 2,
    )  # fmt: skip
