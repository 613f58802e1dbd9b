"""Whether training achieved something, from ratios alone: no loss is large or small in itself."""

from __future__ import annotations

from math import isfinite, nan

import numpy as np

from vanishgrad.diagnosis.matrices import Floats

ERROR_LEFT = 0.75
LOSS_LEFT = 0.5
TAIL = 10  # the last of so many parts of the rows: a single batch is no measure of a network
Ends = tuple[float, float]
UNKNOWN: Ends = (nan, nan)


def has_learned(accuracy: Ends, loss: Ends, error: Ends = UNKNOWN) -> bool | None:
    """Whether training achieved something; None when nothing of it was measured.

    Where it is known what an answer that ignores the input loses, the error is a quarter or more below that;
    else the error rate fell by a quarter or more; without accuracies the loss fell to half.

    Arguments:
        accuracy: first and last.
        loss: first and last.
        error: of an answer that ignores the input, and the one reached.
    """
    if all(map(isfinite, error)):
        ignorance, left = error
        return left <= ERROR_LEFT * ignorance and left < ignorance
    if all(map(isfinite, accuracy)):
        first, last = accuracy
        return last > first and 1 - last <= ERROR_LEFT * (1 - first)
    if all(map(isfinite, loss)):
        first, last = loss
        return last <= LOSS_LEFT * first
    return None


def progress(accuracy: Ends, loss: Ends, error: Ends = UNKNOWN) -> float:
    """The part of what could be lost that training took away: of the error, else of the loss."""
    pairs = (error, (1 - accuracy[0], 1 - accuracy[1]), loss)
    for first, last in pairs:
        if isfinite(first) and isfinite(last) and first > 0:
            return 1 - last / first
    return nan


def tail(values: Floats, first: bool = False) -> float:
    """The mean of the last tenth of what is known, or the first of it; NaN where nothing is."""
    known = values[~np.isnan(values)]
    if not known.size:
        return nan
    return float(known[0]) if first else float(known[-max(1, known.size // TAIL) :].mean())
