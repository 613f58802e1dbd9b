"""The report's figures: each takes a table with a row per measurement and gives a matplotlib Figure.

The table is one of `load_runs(...)`, such as its `gradients` or `metrics`, or a single run's own, as
training and the monitor give it: a table without `run, setting, seed, status` is one run, `this run`.

    figure = gradient_profile(result.gradients)
    figure.savefig("profile.pdf")

A figure with several settings has a colour for each; pass the same `palette` to several figures and a
setting has its colour in all of them.
"""

from vanishgrad.report import backend  # noqa: F401 (before all others)
from vanishgrad.report.figures.gradients import (
    cell_gradient_through_time,
    gradient_by_layer,
    gradient_heatmap,
    gradient_profile,
    gradient_terms,
    gradient_through_time,
    saturation_by_layer,
    shattered_gradients,
    update_ratio_by_layer,
    weight_drift_by_layer,
)
from vanishgrad.report.figures.images import filters, frame_cross_entropy, predicted_frames
from vanishgrad.report.figures.landscape import gradient_descent, loss_landscape
from vanishgrad.report.figures.learning import (
    clipping,
    final_accuracy,
    learning_speed,
    pretraining,
    training_curves,
    weight_norm,
)
from vanishgrad.report.figures.maps import PhasePlane, flow_and_learning, phase_diagram, trainability_map
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.units import activation_curves, activation_inputs, dead_units, gate_activity

signal_by_layer = gradient_profile  # its name until there was theory to draw over it

__all__ = [
    "Palette",
    "PhasePlane",
    "activation_curves",
    "activation_inputs",
    "cell_gradient_through_time",
    "clipping",
    "dead_units",
    "filters",
    "final_accuracy",
    "flow_and_learning",
    "frame_cross_entropy",
    "gate_activity",
    "gradient_by_layer",
    "gradient_descent",
    "gradient_heatmap",
    "gradient_profile",
    "gradient_terms",
    "gradient_through_time",
    "learning_speed",
    "loss_landscape",
    "palette",
    "phase_diagram",
    "predicted_frames",
    "pretraining",
    "saturation_by_layer",
    "shattered_gradients",
    "signal_by_layer",
    "trainability_map",
    "training_curves",
    "update_ratio_by_layer",
    "weight_drift_by_layer",
    "weight_norm",
]
