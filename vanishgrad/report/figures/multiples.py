"""Small multiples: one small panel per setting or run."""

from __future__ import annotations

from math import ceil

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vanishgrad.report.figures.canvas import panels
from vanishgrad.report.figures.palette import Palette

MOST_MULTIPLES = 12
MOST_COLUMNS = 3


def multiples(title: str, count: int) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels in rows of three; unused places stay empty."""
    columns = min(count, MOST_COLUMNS) if count != 4 else 2
    figure, axes = panels(title, ceil(count / columns), columns, (4.2 if columns > 1 else 6.5, 2.9))
    for unused in axes.flat[count:]:
        unused.set_visible(False)
    return figure, list(axes.flat[:count])


def first_settings(frame: pd.DataFrame, colours: Palette) -> list[str]:
    """The settings that have a panel, in the order of the report."""
    present = set(frame["setting"].unique())
    return [label for label in colours.labels if label in present][:MOST_MULTIPLES]


def multiples_notes(frame: pd.DataFrame) -> list[str]:
    """What the panels leave out."""
    count = frame["setting"].nunique()
    said = ["median over seeds"] if frame["run"].nunique() > count else []
    return said + [f"the first {MOST_MULTIPLES} of {count} settings"] * (count > MOST_MULTIPLES)
