"""Final accuracy by setting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vanishgrad.report.figures.canvas import (
    QUIET,
    first_settings,
    log_notes,
    multiples,
    multiples_notes,
    name_axes,
    note,
    of_runs,
    panels,
    say_empty,
    share_limits,
    whole_ticks,
    wrapped,
)
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import (
    X_LABELS,
    Reference,
    View,
    divergence_mark,
    draw_layers,
    draw_legend,
    shared_baseline,
    spans_decades,
)

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


@of_runs
def training_curves(metrics: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Training loss and validation accuracy over steps; validation loss where no accuracy exists.

    Dashed: what an answer that ignores the input scores, where all runs share it.
    """
    loss, accuracy = (_baseline(metrics, name) for name in ("val_loss", "val_accuracy"))
    views = [View(metrics, "step", "train_loss", "training loss", "loss on the batch", None, loss)]
    if np.isfinite(metrics["val_accuracy"]).any():
        title = "validation accuracy"
        views.append(View(metrics, "step", "val_accuracy", title, "fraction correct", False, accuracy))
    if not np.isfinite(metrics["val_accuracy"]).any() or loss:
        title = "validation loss"
        views.append(View(metrics, "step", "val_loss", title, "loss, held-out split", None, loss))
    return draw_views("Loss and accuracy over steps", views, colours or palette(metrics["setting"]))


def _baseline(metrics: pd.DataFrame, metric: str) -> tuple[Reference, ...]:
    value = shared_baseline(metrics, metric)
    return () if value is None else (Reference(value, f"baseline {value:.3g}"),)


@of_runs
def learning_speed(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Gradient norm of some layers over steps: a panel per setting, a line per layer, dark near the input.

    Of the weights: Nielsen (2015, chapter 5) takes the biases, but a bias before a normalization does nothing
    and its gradient is rounding noise.
    """
    settings = first_settings(gradients, colours or palette(gradients["setting"]))
    figure, axes = multiples("Speed of learning per layer over steps", len(settings))
    for each, setting in zip(axes, settings, strict=True):
        rows = gradients[gradients["setting"] == setting]
        name_axes(each, setting + divergence_mark(rows), "optimizer step", "||dLoss/dW|| (L2)")
        draw_layers(each, rows, "step", "grad_norm", log=True)
    share_limits([_calm(axes, settings, gradients)])
    draw_legend(figure, axes)
    note(figure, "; ".join(multiples_notes(gradients) + log_notes(gradients["grad_norm"])))
    return figure


def _calm(axes: Sequence[Axes], settings: Sequence[str], gradients: pd.DataFrame) -> list[Axes]:
    """The panels of settings that did not diverge: an explosion would flatten all others."""
    diverged = set(gradients.loc[gradients["status"] == "diverged", "setting"])
    return [each for each, setting in zip(axes, settings, strict=True) if setting not in diverged]


@of_runs
def weight_norm(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """||W|| relative to the initial one over steps: a panel per setting, a line per layer, dark near the
    input.

    Relative, because layers differ in size: 1 is a layer whose weights are as large as they were.
    """
    rows = relative(gradients)
    settings = first_settings(rows, colours or palette(rows["setting"]))
    figure, axes = multiples("Weight norm by layer and step", len(settings))
    log = spans_decades(rows.loc[rows["status"] != "diverged", "relative"])
    for each, setting in zip(axes, settings, strict=True):
        mine = rows[rows["setting"] == setting]
        name_axes(each, setting + divergence_mark(mine), "optimizer step", "||W|| / ||W|| at the start")
        draw_layers(each, mine, "step", "relative", log=log)
    share_limits([axes])
    draw_legend(figure, axes)
    note(figure, "; ".join(multiples_notes(rows)))
    return figure


def relative(gradients: pd.DataFrame) -> pd.DataFrame:
    """With `relative`: the weight norm over that of the same layer at the run's first logged step."""
    keys = ["run", "layer"]
    first = gradients.sort_values("step").drop_duplicates(keys).set_index(keys)["weight_norm"]
    before = first.reindex(pd.MultiIndex.from_frame(gradients[keys])).to_numpy()
    return gradients.assign(relative=gradients["weight_norm"] / before)


@of_runs
def clipping(metrics: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """The norm of the whole gradient over steps, as backpropagation gave it and as the optimizer got it."""
    label = "norm of the whole gradient (L2)"
    both = pd.concat([metrics["grad_norm"], metrics["clipped_grad_norm"]])
    log = spans_decades(both)
    views = [
        View(metrics.assign(norm=metrics[column]), "step", "norm", title, label, log)
        for column, title in (("grad_norm", "before clipping"), ("clipped_grad_norm", "after clipping"))
    ]
    return draw_views(
        "Gradient norm before and after clipping", views, colours or palette(metrics["setting"])
    )


@of_runs
def pretraining(losses: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Loss relative to that before: a panel per setting, a line per layer, dark near the input."""
    settings = first_settings(losses, colours or palette(losses["setting"]))
    figure, axes = multiples("Layer-wise pretraining", len(settings))
    log = spans_decades(losses["relative_loss"])
    for each, setting in zip(axes, settings, strict=True):
        rows = losses[losses["setting"] == setting]
        name_axes(each, setting, X_LABELS["epoch"], "loss / loss before")
        draw_layers(each, rows, "epoch", "relative_loss", log=log)
        whole_ticks(each.xaxis, rows["epoch"])
    share_limits([axes])
    draw_legend(figure, axes)
    note(figure, "; ".join(multiples_notes(losses)))
    return figure
