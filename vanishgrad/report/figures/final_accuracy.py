"""Final accuracy by setting."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vanishgrad.report.figures.canvas import QUIET, name_axes, note, panels, say_empty, wrapped
from vanishgrad.report.figures.of_runs import of_runs
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.view import divergence_mark, spans_decades

MOST_LARGE = 20  # dots
GOLDEN = (5**0.5 - 1) / 2  # multiples of it, modulo 1, lie evenly
BASELINE_NOTE = "dashed: what an answer that ignores the input scores"


@of_runs
def final_accuracy(summary: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Final validation accuracy, a dot per seed and the mean, best setting on top.

    Where no run has an accuracy it is the loss.
    """
    accuracy = bool(np.isfinite(summary["final_val_accuracy"]).any())
    column, what = ("final_val_accuracy", "accuracy") if accuracy else ("final_val_loss", "loss")
    order = _order(summary, column, best_last=accuracy)
    names = [wrapped(label) for label in order]
    height = 0.34 * len(order) + 0.14 * sum(name.count("\n") for name in names) + 0.9
    figure, axes = panels(f"Final validation {what} by setting", 1, 1, (8.0, height), names)
    _draw(axes[0, 0], summary, column, order, colours or palette(summary["setting"]))
    name_axes(axes[0, 0], "", f"validation {what} at the end", "")
    if accuracy:
        axes[0, 0].set_xlim(-0.02, 1.02)
    elif spans_decades(summary[column]):
        axes[0, 0].set_xscale("log")
    known = _draw_baselines(axes[0, 0], summary, column, order)
    note(figure, "; ".join(_notes(summary, column) + [BASELINE_NOTE] * known))
    return figure


def _draw_baselines(axes: Axes, summary: pd.DataFrame, column: str, order: list[str]) -> bool:
    """A dashed line across the row of each setting whose baseline is known; equal ones join."""
    name = column.replace("final_", "baseline_")
    if name not in summary:
        return False
    values = summary.groupby("setting")[name].first()
    for place, label in enumerate(order):
        ends = [place - 0.5, place + 0.5]
        axes.plot([values[label]] * 2, ends, color=QUIET, linestyle=(0, (4, 3)), linewidth=1.2)
    return bool(np.isfinite(values).any())


def _order(summary: pd.DataFrame, column: str, *, best_last: bool) -> list[str]:
    """Settings from the bottom to the top; those without a finite value at the bottom."""
    finite = summary[column].where(np.isfinite(summary[column]))
    mean = finite.groupby(summary["setting"], sort=False).mean()
    return list(mean.sort_values(ascending=best_last, na_position="first", kind="stable").index)


def _draw(axes: Axes, summary: pd.DataFrame, column: str, order: list[str], colours: Palette) -> None:
    marked = [wrapped(label) + divergence_mark(summary[summary["setting"] == label]) for label in order]
    axes.set_yticks(range(len(order)), marked, fontsize=9)
    axes.set_ylim(-0.6, len(order) - 0.4)
    for place, label in enumerate(order):
        values = summary.loc[summary["setting"] == label, column].to_numpy(dtype=float)
        values = values[np.isfinite(values)]
        colour = colours.colours[label]
        if not values.size:
            told = "no finite value" if _ended_so(summary[summary["setting"] == label]) else "not measured"
            axes.text(0.01, place, told, transform=axes.get_yaxis_transform(), fontsize=8, va="center")
            continue
        _draw_seeds(axes, values, place, colour)
    if not np.isfinite(summary[column]).any():
        say_empty(axes)


def _draw_seeds(axes: Axes, values: NDArray[np.float64], place: int, colour: str) -> None:
    """Many dots are small and stand above and below each other, so that it shows where most of them are."""
    if values.size <= MOST_LARGE:
        axes.plot([values.min(), values.max()], [place, place], color=colour, alpha=0.35, linewidth=5)
        axes.plot(values, np.full(values.size, place), "o", color=colour, markersize=5, alpha=0.7)
    else:
        apart = (np.arange(values.size) * GOLDEN) % 1 - 0.5
        axes.plot(values, place + 0.7 * apart, "o", color=colour, markersize=3, alpha=0.4, markeredgewidth=0)
    bar = "black" if values.size > MOST_LARGE else colour
    axes.plot(values.mean(), place, "|", color=bar, markersize=16, markeredgewidth=2.5)


def _notes(summary: pd.DataFrame, column: str) -> list[str]:
    said = ["dot: one seed, bar: mean"] if summary["setting"].duplicated().any() else []
    missing = int((~np.isfinite(summary[column]) & (summary["status"] == "diverged")).sum())
    if missing:
        said.append(f"{missing} of {len(summary)} runs ended without a finite value")
    return said


def _ended_so(runs: pd.DataFrame) -> bool:
    """Whether a run without a number lost it; others, of tasks without classes, never had one."""
    return bool((runs["status"] == "diverged").any())
