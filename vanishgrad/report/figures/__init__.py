"""The report's figures: each takes a tidy table and gives a matplotlib Figure.

The table is one of `load_runs(...)`, such as its `gradients` or `metrics`, or a single run's own, as
training and the monitor give it:

    figure = gradient_profile(result.gradients)
    figure.savefig("profile.pdf")
"""

from vanishgrad.report.figures.activation_curves import activation_curves
from vanishgrad.report.figures.activation_inputs import activation_inputs
from vanishgrad.report.figures.clipping import clipping
from vanishgrad.report.figures.curves import training_curves
from vanishgrad.report.figures.dead_units import dead_units
from vanishgrad.report.figures.filters import filters
from vanishgrad.report.figures.final_accuracy import final_accuracy
from vanishgrad.report.figures.flow_and_learning import flow_and_learning
from vanishgrad.report.figures.frames import frame_cross_entropy, predicted_frames
from vanishgrad.report.figures.gate_activity import gate_activity
from vanishgrad.report.figures.gradient_descent import gradient_descent
from vanishgrad.report.figures.gradient_heatmap import gradient_heatmap
from vanishgrad.report.figures.learning_speed import learning_speed
from vanishgrad.report.figures.loss_landscape import loss_landscape
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.pretraining import pretraining
from vanishgrad.report.figures.profiles import (
    gradient_by_layer,
    gradient_profile,
    saturation_by_layer,
    update_ratio_by_layer,
    weight_drift_by_layer,
)
from vanishgrad.report.figures.residual import gradient_terms, shattered_gradients
from vanishgrad.report.figures.through_time import cell_gradient_through_time, gradient_through_time
from vanishgrad.report.figures.trainability_map import trainability_map
from vanishgrad.report.figures.weight_norm import weight_norm

signal_by_layer = gradient_profile  # its name until there was theory to draw over it

__all__ = [
    "Palette",
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
