"""The report's figures: each takes tidy tables and gives a matplotlib Figure."""

from vanishgrad.report.figures.curves import training_curves
from vanishgrad.report.figures.final_accuracy import final_accuracy
from vanishgrad.report.figures.gradient_heatmap import gradient_heatmap
from vanishgrad.report.figures.learning_speed import learning_speed
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.figures.profiles import (
    gradient_by_layer,
    saturation_by_layer,
    signal_by_layer,
    update_ratio_by_layer,
    weight_drift_by_layer,
)

__all__ = [
    "Palette",
    "final_accuracy",
    "gradient_by_layer",
    "gradient_heatmap",
    "learning_speed",
    "palette",
    "saturation_by_layer",
    "signal_by_layer",
    "training_curves",
    "update_ratio_by_layer",
    "weight_drift_by_layer",
]
