"""Lines over any number: a rate, the size of a batch, a step; the median over seeds and the band."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from vanishgrad.lab.chapter import Plate
from vanishgrad.lab.claim import Evidence
from vanishgrad.lab.colours import colours_of
from vanishgrad.lab.rows import at_first, at_last, hidden, label_by, where
from vanishgrad.report.figures import Palette
from vanishgrad.report.figures.canvas import name_axes, note, panels
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import FRACTION_LIMITS, View

PANEL = (4.4, 3.4)
MOST_MARKERS = 12
BAND = "line: median over seeds, band: smallest to largest"


@dataclass(frozen=True, eq=False)
class Curves:
    """One panel: `y` over `x` in the rows of `frame`, a line for each `setting`.

    Arguments:
        frame: rows with the columns `setting, seed` and those shown.
        x, y: columns.
        title, x_label, y_label: of the panel.
        log: the axes that are logarithmic: "", "x", "y" or "xy".
        fixed: the ends of the y axis; None leaves them to the values.
    """

    frame: pd.DataFrame
    x: str
    y: str
    title: str
    x_label: str
    y_label: str
    log: str = "x"
    fixed: tuple[float, float] | None = None


def draw_curves(title: str, curves: Sequence[Curves], colours: Palette) -> Figure:
    """The panels side by side, with one legend."""
    figure, axes = panels(title, 1, len(curves), PANEL, colours.labels)
    for each, panel in zip(axes[0], curves, strict=True):
        _draw(each, panel, colours)
    for label in colours.labels:
        axes[0, -1].plot([], [], color=colours.colours[label], marker=colours.markers[label], label=label)
    axes[0, -1].legend(
        loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False, markerscale=0.7
    )
    note(figure, BAND)
    return figure


def _draw(axes: Axes, panel: Curves, colours: Palette) -> None:
    name_axes(axes, panel.title, panel.x_label, panel.y_label)
    for label in colours.labels:
        rows = panel.frame[panel.frame["setting"] == label]
        if rows.empty:
            continue
        by_x = rows.groupby(panel.x)[panel.y].agg(["median", "min", "max"])
        colour = colours.colours[label]
        marker = colours.markers[label] if len(by_x) <= MOST_MARKERS else None
        axes.plot(by_x.index, by_x["median"], color=colour, marker=marker, markersize=4, linewidth=1.6)
        axes.fill_between(by_x.index, by_x["min"], by_x["max"], color=colour, alpha=0.18, linewidth=0)
    if "x" in panel.log:
        axes.set_xscale("log")
        axes.set_xticks(sorted(panel.frame[panel.x].unique()))
        plain_numbers(axes.xaxis)
    if "y" in panel.log:
        axes.set_yscale("log")
    if panel.fixed is not None:
        axes.set_ylim(*panel.fixed)


def plain_numbers(axis: Axis) -> None:
    """Numbers such as 0.03 at the ticks of a logarithmic axis, and nothing between them."""
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


DELTA = "||dLoss/dz|| (L2)"


def _speed(evidence: Evidence) -> Figure:
    """Accuracy over steps, a panel per activation."""
    metrics = label_by(evidence["speed"]["metrics"], "norm", "init")
    panels = [
        Curves(rows, "step", "val_accuracy", f"act={act}", "optimizer step", "fraction correct, held-out", "",
               FRACTION_LIMITS)
        for act, rows in metrics.groupby("act", sort=False)
    ]  # fmt: skip
    return draw_curves("Learning with and without batch norm", panels, colours_of(metrics["setting"]))


def _flow(evidence: Evidence) -> Figure:
    """The gradient of fifty layers at the start, without batch norm and with it."""
    start = hidden(where(at_first(evidence["flow"]["gradients"]), depth=50))
    views = [
        View(label_by(where(start, norm=norm), "act"), "layer", "delta_norm", f"norm={norm}", DELTA)
        for norm in ("none", "batch")
    ]
    return draw_views("Fifty layers at the start", views, colours_of(views[0].frame["setting"]))


def _explosion(evidence: Evidence) -> Figure:
    """The gradient of thirty layers of ReLU under every normalization, and what theory says of it."""
    rows = label_by(hidden(at_first(evidence["norms"]["gradients"])), "norm")
    view = View(rows, "layer", "delta_norm", "thirty layers of ReLU at the start", DELTA,
                theory="predicted_delta_norm")  # fmt: skip
    return draw_views("Only batch norm explodes", [view], colours_of(rows["setting"]))


def _rates(evidence: Evidence) -> Figure:
    """Final accuracy over the learning rate."""
    rows = label_by(evidence["rates"]["summary"], "norm")
    panels = [
        Curves(own, "lr", "final_val_accuracy", f"act={act}", "learning rate", "fraction correct, held-out",
               fixed=FRACTION_LIMITS)
        for act, own in rows.groupby("act", sort=False)
    ]  # fmt: skip
    return draw_curves("Which learning rates work", panels, colours_of(rows["setting"]))


def _weights(evidence: Evidence) -> Figure:
    """The weight norm of the third layer and the rate that it leaves, over steps."""
    rows = where(evidence["rates"]["gradients"], layer=3, act="relu", norm="batch")
    rows = label_by(rows[rows["lr"].isin([0.1, 1.0, 10.0])], "lr")
    rows = rows.assign(rate=rows["lr"] / rows["weight_norm"] ** 2)
    panels = [
        Curves(rows, "step", "weight_norm", "the weights of layer 3", "optimizer step", "||W||", "y"),
        Curves(rows, "step", "rate", "the rate that counts", "optimizer step", "rate / ||W||²", "y"),
    ]
    return draw_curves("A large rate makes itself smaller", panels, colours_of(rows["setting"]))


def _saturation(evidence: Evidence) -> Figure:
    """Saturated units by layer, at the start and after training, from weights of deviation 1."""
    rows = label_by(hidden(where(evidence["weights"]["gradients"], init_std=1.0)), "act", "norm")
    views = [
        View(each, "layer", "saturation", title, "fraction of outputs", False)
        for title, each in (("at the start", at_first(rows)), ("after training", at_last(rows)))
    ]
    return draw_views("Saturated units, weights of deviation 1", views, colours_of(rows["setting"]))


def _batches(evidence: Evidence) -> Figure:
    """What the batch does to an answer, to the two modes, and to what is learned."""
    noise = label_by(where(evidence["company"]["probe"], norm="batch"), "norm")
    sizes = pd.concat([evidence[f"batches_of_{size}"]["summary"].assign(size=size) for size in (2, 8, 32)])
    learned = label_by(sizes, "norm")
    panels = [
        Curves(noise, "batch_size", "noise", "an example's output", "examples in the batch",
               "deviation over batches, relative"),
        Curves(learned, "size", "final_val_accuracy", "what is learned from as many examples",
               "examples in the batch", "fraction correct, held-out"),
    ]  # fmt: skip
    return draw_curves("Small batches", panels, colours_of([*learned["setting"], *noise["setting"]]))


def _modes(evidence: Evidence) -> Figure:
    """How often the two modes disagree, over the steps of training."""
    rows = label_by(evidence["modes"]["probe"], "batch_size")
    panel = Curves(rows, "step", "disagreement", "another answer in evaluation mode", "optimizer step",
                   "fraction of training examples", fixed=FRACTION_LIMITS)  # fmt: skip
    return draw_curves("Training against evaluation", [panel], colours_of(rows["setting"]))


def _shift(evidence: Evidence) -> Figure:
    """How much the layers below change what a layer is asked for."""
    rows = label_by(evidence["shifts"]["probe"], "norm")
    panels = [
        Curves(
            own, "step", "relative", f"act={act}", "optimizer step", "change of the gradient, relative", ""
        )
        for act, own in rows.groupby("act", sort=False)
    ]
    return draw_curves("Internal covariate shift, last hidden layer", panels, colours_of(rows["setting"]))


PLATES = (
    Plate("speed", "Ten layers: with batch norm all activations learn, and sooner.", _speed),
    Plate("flow", "Fifty layers: batch norm levels the sigmoid's line, and tilts that of ReLU the other way.",
          _flow),
    Plate("explosion", "Only the line of batch norm rises towards the input, by as much as theory says.",
          _explosion),
    Plate("rates", "With batch norm rates ten times larger still work; no point: all diverged.",
          _rates),
    Plate("weights", "Left: the larger the rate, the longer the weights. Right: what is left of the rate.",
          _weights),
    Plate("saturation", "Only the plain networks stay on the flat ends.", _saturation),
    Plate("batches", "The noise falls with the size of the batch; only batch norm loses in small ones.",
          _batches),
    Plate("modes", "The modes agree after some thirty steps, and in batches of four they never do.",
          _modes),
    Plate("shift", "The gradient of the last hidden layer changes less when there is batch norm below it.",
          _shift),
)  # fmt: skip
