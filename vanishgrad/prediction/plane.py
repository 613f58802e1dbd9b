"""chi_1 over the initial weights and biases that a run could have had."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vanishgrad.choices.model import MLP, RNN
from vanishgrad.choices.normalization import LayerNorm, NoNorm, RMSNorm, WeightNorm
from vanishgrad.prediction.passing import function_of, noise_of
from vanishgrad.prediction.prediction import Prediction
from vanishgrad.run import Run
from vanishgrad.theory.critical import chi_grid, critical_line, normalized_chi_grid
from vanishgrad.theory.gaussian import scales

COLUMNS, ROWS = 120, 80
WIDEST = 20.0  # a critical sigma_w beyond is off the map
Array = NDArray[np.float64]


class Chi(NamedTuple):
    """sigma_w `(n,)`, sigma_b `(m,)` and chi_1 `(m, n)`."""

    sigma_w: Array
    sigma_b: Array
    chi_1: Array


def chi_around(run: Run, prediction: Prediction) -> Chi | str:
    """The plane around the run's own sigmas, or why there is none."""
    if prediction.sigma_w is None or prediction.sigma_b is None or not isinstance(run.model, MLP | RNN):
        return "no phase diagram: there is no one sigma_w and sigma_b"
    if run.blocks:
        return "no phase diagram: it is of networks without shortcuts"
    f, noise = function_of(run.act), noise_of(run)
    if isinstance(run.norm, LayerNorm | RMSNorm) and run.norm.position == "pre":
        w, b = _axes(prediction.sigma_w, prediction.sigma_b, 2.0)
        return Chi(w, b, normalized_chi_grid(f, w, b))
    if not isinstance(run.norm, NoNorm | WeightNorm):
        return f"no phase diagram: with norm={run.norm.name} the weights' scale does not matter"
    on_edge = [point.sigma_w for point in critical_line(f, scales(1e-3, 1e3, 2.0)) if point.sigma_w < WIDEST]
    w, b = _axes(prediction.sigma_w, prediction.sigma_b, 2.0 * min(on_edge, default=1.5) / math.sqrt(noise))
    start = max(prediction.lengths[0], 1e-5) if prediction.lengths else 1.0
    return Chi(w, b, chi_grid(f, w * math.sqrt(noise), b, min(start, 1e5)))


def _axes(sigma_w: float, sigma_b: float, edge: float) -> tuple[Array, Array]:
    right, top = max(1.6 * sigma_w, edge, 2.0), max(1.5 * sigma_b, 1.0)
    return np.linspace(right / COLUMNS, right, COLUMNS), np.linspace(0.0, top, ROWS)
