"""The report's figures: each takes tidy tables and gives a matplotlib Figure."""

from vanishgrad.report.figures.curves import training_curves
from vanishgrad.report.figures.dead_units import dead_units
from vanishgrad.report.figures.filters import filters
from vanishgrad.report.figures.final_accuracy import final_accuracy
from vanishgrad.report.figures.frames import frame_cross_entropy, predicted_frames
from vanishgrad.report.figures.gate_activity import gate_activity
from vanishgrad.report.figures.gradient_heatmap import gradient_heatmap
from vanishgrad.report.figures.learning_speed import learning_speed
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.pretraining import pretraining
from vanishgrad.report.figures.profiles import (
    gradient_by_layer,
    saturation_by_layer,
    signal_by_layer,
    update_ratio_by_layer,
    weight_drift_by_layer,
)
from vanishgrad.report.figures.residual import gradient_terms, shattered_gradients
from vanishgrad.report.figures.through_time import cell_gradient_through_time, gradient_through_time

__all__ = [
    "Palette",
    "cell_gradient_through_time",
    "dead_units",
    "filters",
    "final_accuracy",
    "frame_cross_entropy",
    "gate_activity",
    "gradient_by_layer",
    "gradient_heatmap",
    "gradient_terms",
    "gradient_through_time",
    "learning_speed",
    "palette",
    "predicted_frames",
    "pretraining",
    "saturation_by_layer",
    "shattered_gradients",
    "signal_by_layer",
    "training_curves",
    "update_ratio_by_layer",
    "weight_drift_by_layer",
]
