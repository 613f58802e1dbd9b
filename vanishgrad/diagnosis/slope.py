"""Slopes of gradient norms: how fast they shrink from layer to layer, and from time step to time step."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FEWEST_PLACES = 2
FEWEST_LAYERS = FEWEST_PLACES


def log_slope(place: ArrayLike, norm: ArrayLike) -> float:
    """Least-squares slope of log10(norm) over `place`, in decades per place.

    Exact zeros and numbers that are not finite are left out; NaN when fewer than two places remain.
    """
    x, y = np.asarray(place, dtype=float), np.asarray(norm, dtype=float)
    kept = np.isfinite(y) & (y > 0)
    x, y = x[kept], y[kept]
    if np.unique(x).size < FEWEST_PLACES:
        return float("nan")
    centred = x - x.mean()
    return float(centred @ np.log10(y) / (centred @ centred))


def gradient_slope(layer: ArrayLike, norm: ArrayLike) -> float:
    """`log_slope` over the hidden layers' index, in decades per layer.

    Positive: gradients shrink towards the input. Hidden layers are those below the last.
    """
    x, y = np.asarray(layer, dtype=float), np.asarray(norm, dtype=float)
    hidden = x < x.max(initial=-np.inf)
    return log_slope(x[hidden], y[hidden])


def decades_across(layer: ArrayLike, norm: ArrayLike) -> float:
    """Decades by which the fitted norm shrinks from the last hidden layer to the first; negative: it grows.

    Free of scale: multiplying every norm by a constant changes nothing. NaN where there is no slope.
    """
    x = np.unique(np.asarray(layer, dtype=float))
    hidden = x[:-1]
    return gradient_slope(layer, norm) * float(np.ptp(hidden)) if hidden.size else float("nan")


def decades_through(t: ArrayLike, norm: ArrayLike) -> float:
    """Decades by which the fitted norm shrinks from the last time step to the first; negative: it grows.

    Early steps whose gradient is exactly 0 count in the length but not in the fit.
    """
    x = np.asarray(t, dtype=float)
    return log_slope(t, norm) * float(np.ptp(x)) if x.size else float("nan")


def fitted_falls(place: ArrayLike, norms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Decades by which the fitted norm shrinks from the last place to the first, `(steps,)`.

    `decades_across` of many steps at once, over all places given.

    Arguments:
        place: of every column, `(places,)`.
        norms: `(steps, places)`; exact zeros and what is not finite are left out.
    """
    x = np.asarray(place, dtype=float)
    known = np.isfinite(norms) & (norms > 0)
    y = np.log10(np.where(known, norms, 1.0))
    count = known.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        away = (x - (known @ x / count)[:, None]) * known
        slope = (away * y).sum(axis=1) / (away**2).sum(axis=1)
    return np.where(count >= FEWEST_PLACES, slope * float(np.ptp(x) if x.size else 0.0), np.nan)


def steady_fall(place: ArrayLike, norm: ArrayLike) -> float:
    """Decades across all places if each shrank like the middle of them: a single one does not count."""
    x, y = np.asarray(place, dtype=float), np.asarray(norm, dtype=float)
    kept = np.isfinite(y) & (y > 0)
    x, y = x[kept], y[kept]
    if x.size < FEWEST_PLACES:
        return float("nan")
    return float(np.median(np.diff(np.log10(y)) / np.diff(x)) * np.ptp(x))
