"""Dead units and accuracy side by side, a line per remedy."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vanishgrad.lab.chapter import Plate
from vanishgrad.lab.claim import Evidence
from vanishgrad.lab.colours import OF_CHOICE, colours_of
from vanishgrad.lab.rows import at_first, at_last, dead_share, hidden, label_by, where
from vanishgrad.report.figures.canvas import QUIET, name_axes, note, panels
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import FRACTION_LIMITS, Reference, View

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


DELTA = "||dLoss/dz|| (L2)"
CORRECT = "fraction correct, held-out"
PARTS = {"activation": "the activation alone", "layer": "512 x 512 weights and the activation"}


def _flow(evidence: Evidence) -> Figure:
    """The gradient and the speed of every layer, sigmoid and ReLU from three starts."""
    start = hidden(at_first(evidence["flow"]["gradients"]))
    speeds = "||change of W|| / ||W||"
    views = [
        View(start, "layer", "delta_norm", "the gradient at the start", DELTA),
        View(start, "layer", "update_ratio", "the first step", speeds),
    ]
    return draw_views("A slope of 1 needs weights that fit", views, colours_of(start["setting"]))


def _speed(evidence: Evidence) -> Figure:
    """Accuracy over steps, shallow and deeper."""
    metrics = evidence["speed"]["metrics"]
    views = [
        View(
            label_by(where(metrics, depth=depth), "act"),
            "step",
            "val_accuracy",
            _layers(depth),
            CORRECT,
            False,
        )
        for depth in sorted(metrics["depth"].unique())
    ]
    return draw_views("Learning with each activation", views, colours_of(views[0].frame["setting"]))


def _layers(depth: int) -> str:
    return "one hidden layer" if depth == 1 else f"{depth} hidden layers"


def _cost(evidence: Evidence) -> Figure:
    """What each activation costs, alone and in its layer."""
    rows = label_by(evidence["costs"]["probe"], "act")
    colours = colours_of(rows["setting"])
    figure, axes = panels("The time of a pass, forward and backward", 1, 2, (4.6, 2.9))
    for each, (part, title) in zip(axes[0], PARTS.items(), strict=True):
        middle = 1e3 * where(rows, part=part).groupby("setting", sort=False)["seconds"].median()
        bars = [colours.colours[label] for label in middle.index]
        each.barh([label.partition("=")[2] for label in middle.index], middle, color=bars, height=0.7)
        each.invert_yaxis()
        name_axes(each, title, "milliseconds", "")
    note(figure, "median over seeds; a batch of 256 in 512 units, one thread")
    return figure


def _dead(evidence: Evidence) -> Figure:
    """Dead units before and after training, and what the network learned, by remedy."""
    parts = {
        "born dead: biases far too large": _by_remedy(evidence, "born_dead"),
        "killed: a learning rate far too high": _by_remedy(evidence, "killed"),
    }
    return dead_and_alive("Dead units: which remedy does what", parts)


def _by_remedy(evidence: Evidence, name: str) -> pd.DataFrame:
    """A row per run of a sweep: dead units before and after, and the accuracy."""
    units, summary = evidence[name]["dead_units"], evidence[name]["summary"]
    rows = [
        (run, dead_share(at_first(own)), dead_share(at_last(own)))
        for run, own in units.groupby("run", sort=False)
    ]
    table = pd.DataFrame(rows, columns=["run", "dead_before", "dead_after"])
    ends = summary[["run", "seed", "remedy", "final_val_accuracy"]]
    return table.merge(ends, on="run").rename(columns={"final_val_accuracy": "accuracy"})


def _statistics(evidence: Evidence) -> Figure:
    """Mean and deviation of the outputs by layer."""
    rows = label_by(hidden(at_first(evidence["statistics"]["gradients"])), "act")
    offset = rows.assign(offset=rows["act_mean"] / rows["act_std"])
    zero = (Reference(0.0, "mean 0"),)
    first = View(offset, "layer", "offset", "outputs at the start", "mean / deviation", False, zero)
    return draw_views("Where the outputs lie", [first], colours_of(rows["setting"]))


def _selu(evidence: Evidence) -> Figure:
    """The variance of SELU's outputs by layer, from three starts."""
    rows = label_by(hidden(at_first(evidence["selu"]["gradients"])), "init")
    rows = rows.assign(variance=rows["act_std"] ** 2)
    one = (Reference(1.0, "1"),)
    view = View(rows, "layer", "variance", "outputs of SELU at the start", "variance", True, one)
    return draw_views("Self-normalization has one start", [view], colours_of(rows["setting"]))


def _slopes(evidence: Evidence) -> Figure:
    """The slopes that PReLU has learned, by layer."""
    rows = evidence["slopes"]["probe"].assign(setting="act=prelu", status="completed")
    rows = rows.assign(run=rows["seed"])
    start = (Reference(0.25, "at the start"),)
    view = View(rows, "layer", "slope", "after training", "slope for negative inputs", False, start)
    return draw_views("The slopes that PReLU learns", [view], colours_of(rows["setting"]))


PLATES = (
    Plate("flow", "ReLU's line is level only with He's weights; else it falls too, but less.",
          _flow),
    Plate("speed", "The sigmoid trails, the more the deeper; tanh hardly does.", _speed),
    Plate("cost", "Alone the activations differ; next to the weights of their layer they do not.",
          _cost),
    Plate("dead", "Left: which units die or come back. Right: whether the network learns: not the same.",
          _dead),
    Plate("statistics", "ReLU's outputs lie off zero in every layer; ELU's and SELU's hardly do.",
          _statistics),
    Plate("selu", "The variance stays at 1 from init=lecun, and leaves it otherwise.", _selu),
    Plate("slopes", "The slopes have left their start; where they go differs from seed to seed.", _slopes),
)  # fmt: skip
