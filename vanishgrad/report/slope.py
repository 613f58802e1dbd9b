"""The gradient slope: how fast gradients shrink from layer to layer."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

FEWEST_LAYERS = 2


def gradient_slope(layer: ArrayLike, norm: ArrayLike) -> float:
    """Least-squares slope of log10(norm) over the hidden layers' index, in decades per layer.

    Positive: gradients shrink towards the input. Hidden layers are those below the last. Exact zeros and
    numbers that are not finite are left out; NaN when fewer than two hidden layers remain.
    """
    x, y = np.asarray(layer, dtype=float), np.asarray(norm, dtype=float)
    kept = (x < x.max(initial=-np.inf)) & np.isfinite(y) & (y > 0)
    x, y = x[kept], y[kept]
    if np.unique(x).size < FEWEST_LAYERS:
        return float("nan")
    centred = x - x.mean()
    return float(centred @ np.log10(y) / (centred @ centred))


def decades_across(layer: ArrayLike, norm: ArrayLike) -> float:
    """Decades by which the fitted norm shrinks from the last hidden layer to the first; negative: it grows.

    Free of scale: multiplying every norm by a constant changes nothing. NaN where there is no slope.
    """
    x = np.unique(np.asarray(layer, dtype=float))
    hidden = x[:-1]
    return gradient_slope(layer, norm) * float(np.ptp(hidden)) if hidden.size else float("nan")
