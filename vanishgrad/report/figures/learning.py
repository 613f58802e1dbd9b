"""What training achieved over steps: accuracy, loss, learning speed, weight norm, clipping, pretraining."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vanishgrad.report.figures.canvas import (
    QUIET,
    as_runs,
    first_settings,
    log_notes,
    multiples,
    multiples_notes,
    name_axes,
    note,
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


def final_accuracy(summary: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw the final validation accuracy by setting: a dot per seed and the mean, the best on top.

    Where no run has an accuracy it is the loss. A dashed line is the score of an answer that ignores the
    input.

    Arguments:
        summary: a row per run, as in summary.csv; reads `final_val_accuracy` or `final_val_loss` and, where
            it has them, `baseline_val_accuracy, baseline_val_loss`.
        colours: of the settings, see `palette`; None: their own.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"run": ["0", "1"], "setting": ["act=relu", "act=sigmoid"], "seed": 0})
        >>> figure = final_accuracy(rows.assign(status="completed", final_val_accuracy=[0.9, 0.1]))
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]  # from the bottom
        ['act=sigmoid', 'act=relu']
    """
    summary = as_runs(summary)
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
    has_baseline = _draw_baselines(axes[0, 0], summary, column, order)
    note(figure, "; ".join(_notes(summary, column) + [BASELINE_NOTE] * has_baseline))
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
            text = "no finite value" if _ended_so(summary[summary["setting"] == label]) else "not measured"
            axes.text(0.01, place, text, transform=axes.get_yaxis_transform(), fontsize=8, va="center")
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
    remarks = ["dot: one seed, bar: mean"] if summary["setting"].duplicated().any() else []
    missing = int((~np.isfinite(summary[column]) & (summary["status"] == "diverged")).sum())
    if missing:
        remarks.append(f"{missing} of {len(summary)} runs ended without a finite value")
    return remarks


def _ended_so(runs: pd.DataFrame) -> bool:
    """Whether a run without a number lost it; others, of tasks without classes, never had one."""
    return bool((runs["status"] == "diverged").any())


def training_curves(metrics: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw training loss and validation accuracy over steps; validation loss where no accuracy exists.

    A colour per setting, a band over its seeds, a cross where a run diverged. Dashed: the score of an answer
    that ignores the input, where all runs share it.

    Arguments:
        metrics: `load_runs(...).metrics`, or a run's own table; reads
            `step, train_loss, val_loss, val_accuracy` and, where it has them,
            `baseline_val_loss, baseline_val_accuracy`.
        colours: of the settings, see `palette`; None: their own.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"step": [0, 10], "train_loss": [2.3, 0.5], "val_loss": [2.3, 0.6]})
        >>> [axes.get_title() for axes in training_curves(rows.assign(val_accuracy=[0.1, 0.8])).axes]
        ['training loss', 'validation accuracy']
    """
    metrics = as_runs(metrics)
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


def learning_speed(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw the gradient norm of some layers over steps: a panel per setting, a line per layer.

    Dark lines are the layers near the input. Of the weights: Nielsen (2015, chapter 5) takes the biases,
    but a bias before a normalization does nothing and its gradient is rounding noise.

    Arguments:
        gradients: `load_runs(...).gradients`, or a run's own table; reads `step, layer, grad_norm`.
        colours: of the settings, for their order; None: as they come.

    Example:
        >>> import pandas as pd
        >>> cells = [(step, layer, 10.0**-layer) for step in (0, 10) for layer in (1, 2, 3)]
        >>> rows = pd.DataFrame(cells, columns=["step", "layer", "grad_norm"])
        >>> [line.get_label() for line in learning_speed(rows).axes[0].lines]
        ['layer 1', 'layer 2', 'layer 3']
    """
    gradients = as_runs(gradients)
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


def weight_norm(gradients: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw ||W|| relative to the initial one over steps: a panel per setting, a line per layer.

    Relative, because layers differ in size: 1 is a layer whose weights are as large as they were. Dark lines
    are the layers near the input.

    Arguments:
        gradients: `load_runs(...).gradients`, or a run's own table; reads `step, layer, weight_norm`.
        colours: of the settings, for their order; None: as they come.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"step": [0, 10], "layer": 1, "weight_norm": [4.0, 2.0]})
        >>> [float(norm) for norm in weight_norm(rows).axes[0].lines[0].get_ydata()]
        [1.0, 0.5]
    """
    gradients = as_runs(gradients)
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


def clipping(metrics: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw the norm of the whole gradient over steps, before and after clipping.

    Arguments:
        metrics: `load_runs(...).metrics`, or a run's own table; reads `step, grad_norm, clipped_grad_norm`.
        colours: of the settings, see `palette`; None: their own.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"step": [0, 1], "grad_norm": [5.0, 0.5], "clipped_grad_norm": [1.0, 0.5]})
        >>> [axes.get_title() for axes in clipping(rows).axes]
        ['before clipping', 'after clipping']
    """
    metrics = as_runs(metrics)
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


def pretraining(losses: pd.DataFrame, colours: Palette | None = None) -> Figure:
    """Draw each layer's loss in pretraining relative to that before: a panel per setting, a line per layer.

    Arguments:
        losses: `load_runs(...).extra("pretraining")`; reads `layer, epoch, relative_loss`.
        colours: of the settings, for their order; None: as they come.

    Example:
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"layer": [1, 1, 2, 2], "epoch": [0, 1, 0, 1]})
        >>> figure = pretraining(rows.assign(relative_loss=[1.0, 0.4, 1.0, 0.7]))
        >>> figure.axes[0].get_xlabel()
        'epoch of pretraining'
    """
    losses = as_runs(losses)
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
