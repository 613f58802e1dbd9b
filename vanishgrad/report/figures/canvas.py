"""Empty figures with panels, titles, axes and notes in one style; no pyplot, so figures share no state."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vanishgrad.diagnosis.layers import by_layer
from vanishgrad.report.figures.palette import Palette

GRID = "#e3e3e3"
QUIET = "#5f6368"
DPI = 130
# Matplotlib's ticks may lie one axis length beyond the data and must not overflow float64.
SMALLEST, LARGEST = 1e-90, 1e90
ZEROS_NOTE = "exact zeros are left out of log axes"
BORDER_NOTE = "what lies beyond 1e-90 or 1e90 is drawn there"
MOST_TICKS = 6
TITLE_WIDTH = 42
LABEL_WIDTH = 34
SHORT_LABEL = 18  # characters that fit next to a panel as it is
LONGEST = 160  # characters that are shown
CHARACTER = 0.075  # inches of a label


def panels(
    title: str, rows: int, columns: int, panel: tuple[float, float], labels: Iterable[str] = ()
) -> tuple[Figure, NDArray[np.object_]]:
    """Make a titled figure and its `(rows, columns)` axes.

    `panel` is the size of one of them in inches; `labels` that will stand next to them make the figure wider,
    not the panels narrower.
    """
    longest = max((len(line) for label in labels for line in label.splitlines()), default=0)
    width = max(columns * panel[0], 5.0) + CHARACTER * max(0, longest - SHORT_LABEL)
    size = (width, rows * panel[1] + 0.7)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained", facecolor="white")
    figure.suptitle(title, fontsize=13, fontweight="bold")
    axes = figure.subplots(rows, columns, squeeze=False)
    for each in axes.flat:
        quiet(each)
    return figure, axes


def quiet(axes: Axes) -> None:
    """Take away what carries no information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(True, color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9, colors=QUIET)


def name_axes(axes: Axes, title: str, x: str, y: str) -> None:
    """Give a panel its title and the labels of its axes."""
    axes.set_title(fill(literal(title), TITLE_WIDTH), fontsize=10.5)
    axes.set_xlabel(x, fontsize=10)
    axes.set_ylabel(y, fontsize=10)


def literal(text: str) -> str:
    """The user's text as it is: a dollar starts no formula, an underscore hides no entry of a legend.

    Of one that is too long for any figure the middle is left out; what is no character that can be seen, and
    no XML can hold, is one that says so.
    """
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 30]} … {text[-27:]}"
    seen = "".join(sign if sign.isprintable() else " " if sign.isspace() else "\ufffd" for sign in text)
    return (" " if seen.startswith("_") else "") + seen.replace("$", r"\$")


def wrapped(label: str) -> str:
    """Break a long label into lines, for a legend or an axis of settings."""
    return fill(literal(label), LABEL_WIDTH, subsequent_indent="  ", break_long_words=False)


def note(figure: Figure, text: str) -> None:
    """Write a remark under the panels, before earlier ones."""
    if text:
        remarks = [text, *filter(None, [figure.get_supxlabel()])]
        figure.supxlabel("; ".join(remarks), fontsize=8.5, color=QUIET)


def say_empty(axes: Axes, text: str = "nothing to show") -> None:
    """Mark a panel without data."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=QUIET)


def whole_ticks(axis: Axis, places: pd.Series[int]) -> None:
    """Put ticks at whole numbers, among them the first layer (or block, or frame) and the last."""
    if len(places):
        first, last = int(places.min()), int(places.max())
        count = min(MOST_TICKS, last - first + 1)
        axis.set_ticks(np.unique(np.linspace(first, last, count).round()).astype(int).tolist())


def share_limits(columns: Iterable[Iterable[Axes]]) -> None:
    """Give all panels that have data one y range, so that they can be compared."""
    used = [each for axes in columns for each in axes if each.lines]
    limits = [each.get_ylim() for each in used if each.get_yscale() == used[0].get_yscale()]
    for each in used:
        if each.get_yscale() == used[0].get_yscale():
            each.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))


def log_notes(values: pd.Series[float]) -> list[str]:
    """Notes on what a log axis does to `values`."""
    positive = values[np.isfinite(values) & (values > 0)]
    beyond = bool(((positive < SMALLEST) | (positive > LARGEST)).any())
    return [ZEROS_NOTE] * bool((values == 0).any()) + [BORDER_NOTE] * beyond


def loggable(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numbers that a log axis can show, NaN for zeros and for what is not finite."""
    shown = np.isfinite(values) & (values > 0)
    return np.where(shown, np.clip(values, SMALLEST, LARGEST), np.nan)


MOST_MULTIPLES = 12
MOST_COLUMNS = 3


def multiples(title: str, count: int) -> tuple[Figure, list[Axes]]:
    """Make a figure with `count` panels in rows of three; unused places stay empty."""
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
    """Notes on what the panels leave out."""
    count = frame["setting"].nunique()
    remarks = ["median over seeds"] if frame["run"].nunique() > count else []
    return remarks + [f"the first {MOST_MULTIPLES} of {count} settings"] * (count > MOST_MULTIPLES)


def first_runs_notes(frame: pd.DataFrame, rows: int) -> list[str]:
    """Notes on what a figure leaves out that shows the first run of each of the first `rows` settings."""
    settings = frame["setting"].nunique()
    remarks = ["one seed each"] * (frame["run"].nunique() > settings)
    return remarks + [f"the first {rows} of {settings} settings"] * (settings > rows)


ALONE = "this run"


def as_runs(table: pd.DataFrame) -> pd.DataFrame:
    """Add those of `run, setting, seed, status` that the table lacks, as for a single run."""
    rows = by_layer(table) if {"step", "layer", "name"} <= set(table.columns) else table
    tags = {"run": ALONE, "setting": ALONE, "seed": None, "status": "completed"}
    return rows.assign(**{name: value for name, value in tags.items() if name not in rows})
