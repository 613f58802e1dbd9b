"""The figures of a report in their order, and which of them, in which files, a report is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.errors import one_of, require
from vanishgrad.report import figures
from vanishgrad.report.figures.palette import Palette

FORMATS = ("svg", "pdf", "png")
STYLES = ("screen", "paper")


@dataclass(frozen=True)
class Wanted:
    """Which figures a report has and how they are written; checked when it is made.

    Arguments:
        figures: names of figures; None: all.
        formats: of the files in addition to the PNG, which the page needs anyway.
        style: `screen`, or `paper`: the width of a column, serif type, no titles.
    """

    figures: tuple[str, ...] | None = None
    formats: tuple[str, ...] = ("svg",)
    style: str = "screen"

    def __post_init__(self) -> None:
        names = [exhibit.name for exhibit in EXHIBITS]
        require(self.figures != (), f"figures=[]: name at least one of {', '.join(names)}")
        require(self.formats != (), f"format=[]: name at least one of {', '.join(FORMATS)}")
        for name in self.figures or ():
            one_of("figures", ALIASES.get(name, name), names)
        for kind in self.formats:
            one_of("format", kind, FORMATS)
        one_of("style", self.style, STYLES)

    @property
    def exhibits(self) -> Sequence[Exhibit]:
        """The figures in the order of the report."""
        if self.figures is None:
            return EXHIBITS
        names = {ALIASES.get(name, name) for name in self.figures}
        return [exhibit for exhibit in EXHIBITS if exhibit.name in names]

    @property
    def is_paper(self) -> bool:
        return self.style == "paper"


OF_EVERY_RUN = ("gradients", "metrics", "summary")


@dataclass(frozen=True)
class Exhibit:
    """A figure of the report.

    To add one, write its function in figures/, name it in figures/__init__ and add an entry to `EXHIBITS`.

    Arguments:
        name: of its files, and in `vanishgrad report figures=[...]`.
        draw: gives the figure of a table and a palette.
        table: gradients, metrics or summary, a name in `extras.EXTRAS` or `tables.DERIVED`, or one that the
            caller computes.
        needs: columns of the table; without a finite number in any of them the figure is left out.
        caption: how to read it.
        is_picture: whether colours mean something in it, so that a dark page leaves them alone.
        is_whole: whether it has room for all settings, however many there are.
    """

    name: str
    draw: Callable[[pd.DataFrame, Palette], Figure]
    table: str
    needs: tuple[str, ...]
    caption: str
    is_picture: bool = False
    is_whole: bool = False

    @property
    def is_extra(self) -> bool:
        """Whether it is of something that only some runs have."""
        return self.table not in OF_EVERY_RUN

    @property
    def title(self) -> str:
        return self.name.replace("_", " ").capitalize()


EXHIBITS = (
    Exhibit(
        "flow_and_learning",
        figures.flow_and_learning,
        "flow",
        ("ratio",),
        "Does the gradient get through, and does the setting learn? On the dotted line the first layer (or "
        "time step) gets as much gradient as the last; left of the band it vanishes on the way, right of it "
        "it explodes. A higher accuracy, or a lower loss, is better.",
        is_whole=True,
    ),
    Exhibit(
        "trainability_map",
        figures.trainability_map,
        "trainability",
        ("reached",),
        "Where networks can be trained at all: how deep, at which value. The dashed line is six times the "
        "depth scale of mean-field theory, beyond which two inputs can no longer be told apart (Schoenholz "
        "et al. 2017).",
        is_picture=True,
        is_whole=True,
    ),
    Exhibit(
        "gradient_through_time",
        figures.gradient_through_time,
        "time_gradients",
        ("grad_norm",),
        "What the loss says to the network's state at each time step, through all later ones. A line that "
        "falls steeply to the left vanishes through time: what happened early teaches next to nothing.",
    ),
    Exhibit(
        "cell_gradient_through_time",
        figures.cell_gradient_through_time,
        "time_gradients",
        ("cell_grad_norm",),
        "The cell is the LSTM's road through time: each step back multiplies its gradient by the forget "
        "gate, so that a gate near 1 keeps the line flat.",
    ),
    Exhibit(
        "gradient_profile",
        figures.gradient_profile,
        "gradients",
        ("delta_norm",),
        "What backpropagation hands from layer to layer: a line that falls steeply to the left is a "
        "vanishing gradient, a flat one lets it through. The slope of these lines is the slope in the table.",
    ),
    Exhibit(
        "gradient_by_layer",
        figures.gradient_by_layer,
        "gradients",
        ("grad_norm",),
        "The same as the weights see it, multiplied by the activations of the layer below: what each layer "
        "has to learn from.",
    ),
    Exhibit(
        "final_accuracy",
        figures.final_accuracy,
        "summary",
        ("final_val_accuracy", "final_val_loss"),
        "Whether the setting learns, and whether its seeds agree.",
    ),
    Exhibit(
        "training_curves",
        figures.training_curves,
        "metrics",
        ("train_loss",),
        "A curve that stays level from the start is a network that does not learn.",
    ),
    Exhibit(
        "clipping",
        figures.clipping,
        "clipping",
        ("clipped_grad_norm",),
        "Clipping cuts off the peaks: on the left what backpropagation gave, on the right what the "
        "optimizer got. Where it cuts at every step, it is a smaller learning rate.",
    ),
    Exhibit(
        "gradient_terms",
        figures.gradient_terms,
        "residual_terms",
        ("shortcut_norm", "branch_norm"),
        "Each block's gradient is the sum of two terms. The shortcut hands on what came from above as it is; "
        "only a branch of the same size with cosine -1 could cancel it, and it is never exactly that.",
    ),
    Exhibit(
        "shattered_gradients",
        figures.shattered_gradients,
        "input_gradients",
        ("correlation",),
        "A line at 0 from the first points on means that inputs next to each other get unrelated gradients, "
        "like white noise; one that falls slowly, like brown noise, leaves training something to follow.",
    ),
    Exhibit(
        "dead_units",
        figures.dead_units,
        "dead_units",
        ("dead_fraction",),
        "A unit that is off for every training example gets no gradient and stays off. Dead from the first "
        "step is a matter of the initialization, dying later one of the learning rate.",
    ),
    Exhibit(
        "gate_activity",
        figures.gate_activity,
        "gates",
        ("near_zero", "near_one"),
        "A forget gate near 1 remembers and lets gradients through, near 0 it cuts them off; gates that "
        "leave both ends alone are undecided.",
    ),
    Exhibit(
        "pretraining",
        figures.pretraining,
        "pretraining",
        ("relative_loss",),
        "Each layer learns on its own to reproduce what the layer below gives it; a line that stays at 1 "
        "has learned nothing.",
    ),
    Exhibit(
        "filters",
        figures.filters,
        "filters",
        ("filters",),
        "Noise is what the random start looks like; strokes, edges and spots are something learned. A "
        "network whose first layer still shows its noise after training never got a gradient there.",
        is_picture=True,
    ),
    Exhibit(
        "predicted_frames",
        figures.predicted_frames,
        "predicted_frames",
        ("predicted",),
        "A prediction that blurs and fades has not kept where things were going; compare the last frames.",
        is_picture=True,
    ),
    Exhibit(
        "frame_cross_entropy",
        figures.frame_cross_entropy,
        "frame_losses",
        ("cross_entropy",),
        "The further ahead a frame lies, the harder it is; a line at the upper dashed one has learned "
        "nothing but the mean image.",
    ),
    Exhibit(
        "gradient_heatmap",
        figures.gradient_heatmap,
        "gradients",
        ("grad_norm",),
        "Dark layers get little gradient: dark at the bottom is vanishing, and a change of colour from left "
        "to right shows training repairing or breaking the flow.",
        is_picture=True,
    ),
    Exhibit(
        "learning_speed",
        figures.learning_speed,
        "gradients",
        ("grad_norm",),
        "Lines far apart mean that layers learn at very different speeds; dark lines are the layers near the "
        "input.",
    ),
    Exhibit(
        "saturation_by_layer",
        figures.saturation_by_layer,
        "gradients",
        ("saturation", "dead_fraction"),
        "Saturated and dead units pass no gradient on: a layer near 1 is a wall.",
    ),
    Exhibit(
        "update_ratio_by_layer",
        figures.update_ratio_by_layer,
        "gradients",
        ("update_ratio",),
        "How much one step changes a layer, relative to its weights: one far below the others stands still.",
    ),
    Exhibit(
        "weight_drift_by_layer",
        figures.weight_drift_by_layer,
        "gradients",
        ("weight_drift",),
        "Layers that hardly moved have kept their random weights.",
    ),
    Exhibit(
        "weight_norm",
        figures.weight_norm,
        "penalties",
        ("weight_norm",),
        "What a penalty does to the weights, layer by layer: L2 pulls all of them down, L1 lets whole "
        "layers go. A layer whose weights are gone passes no gradient on.",
    ),
    Exhibit(
        "activation_curves",
        figures.activation_curves,
        "activations",
        ("slope",),
        "Backpropagation multiplies by the slope of the activation at every layer. The largest slope is "
        "marked: 0.25 for sigmoid means a quarter at best, layer after layer.",
    ),
    Exhibit(
        "activation_inputs",
        figures.activation_inputs,
        "activation_inputs",
        ("fractions",),
        "A layer whose values lie in the shaded part passes no gradient on. Values that widen from layer to "
        "layer end there, values that shrink to a needle all look alike to the next layer.",
    ),
    Exhibit(
        "loss_landscape",
        figures.loss_landscape,
        "landscape",
        ("loss",),
        "The loss around the trained network. Left, along the two directions in which its weights moved "
        "most, with the way that training took; right, along two random ones of the same size filter by "
        "filter (Li et al. 2018).",
        is_picture=True,
    ),
)
ALIASES = {"signal_by_layer": "gradient_profile"}
