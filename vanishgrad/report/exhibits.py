"""The figures of a report in their order: what each needs and what to look at in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.report import figures
from vanishgrad.report.extras import EXTRAS
from vanishgrad.report.figures import Palette


@dataclass(frozen=True)
class Exhibit:
    """A figure, the table it is drawn from and the columns of which it needs at least one."""

    name: str
    draw: Callable[[pd.DataFrame, Palette], Figure]
    table: str
    needs: tuple[str, ...]
    caption: str

    @property
    def is_extra(self) -> bool:
        """Whether it is of a file that only some runs have."""
        return self.table in EXTRAS

    @property
    def title(self) -> str:
        return self.name.replace("_", " ").capitalize()


EXHIBITS = (
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
        "gradient_by_layer",
        figures.gradient_by_layer,
        "gradients",
        ("grad_norm",),
        "A line that falls steeply to the left is a vanishing gradient: the layers near the input get next "
        "to nothing; a flat line lets the gradient through.",
    ),
    Exhibit(
        "signal_by_layer",
        figures.signal_by_layer,
        "gradients",
        ("delta_norm",),
        "The signal on its way back, without the activations that multiply it in the weights' gradient; the "
        "slope of these lines is the slope in the table.",
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
    ),
    Exhibit(
        "predicted_frames",
        figures.predicted_frames,
        "predicted_frames",
        ("predicted",),
        "A prediction that blurs and fades has not kept where things were going; compare the last frames.",
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
)
