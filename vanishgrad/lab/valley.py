"""Gradient descent on the simplest surface that has everything: a quadratic valley."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.report.figures import gradient_descent

CURVATURES = (1.0, 10.0)
START = (-8.0, 2.0)
RATES = (0.001, 0.01, 0.1, 0.19, 0.21)
STEPS = 300


def descend(
    rate: float, steps: int, curvatures: Sequence[float] = CURVATURES, start: Sequence[float] = START
) -> pd.DataFrame:
    """`step, x, y, loss` of gradient descent on (c_1 x^2 + c_2 y^2) / 2.

    Each coordinate is multiplied by 1 - rate c at every step: it converges where rate < 2 / c, and swings
    where rate > 1 / c.
    """
    bends, point = np.asarray(curvatures), np.asarray(start, dtype=float)
    points = [point]
    for _ in range(steps):
        point = point - rate * bends * point  # the gradient is c_i x_i
        points.append(point)
    path = np.array(points)
    return pd.DataFrame(
        {"step": range(steps + 1), "x": path[:, 0], "y": path[:, 1], "loss": (path**2 @ bends) / 2}
    )


def descents(rates: Sequence[float], steps: int) -> pd.DataFrame:
    """The paths of several rates, with columns `setting` (such as `lr=0.1`) and `rate`."""
    paths = [descend(rate, steps).assign(setting=f"lr={rate:g}", rate=rate) for rate in rates]
    return pd.concat(paths, ignore_index=True)


def descent_from_anywhere(seed: int) -> pd.DataFrame:
    """`lr, left`: the share of the loss that is left after `STEPS` steps from a random start, by rate.

    The largest rate that converges is 2 / 10.
    """
    start = np.random.default_rng(seed).normal(size=len(CURVATURES)).tolist()
    ends = [descend(rate, STEPS, start=start)["loss"] for rate in RATES]
    return pd.DataFrame({"lr": RATES, "left": [loss.iloc[-1] / loss.iloc[0] for loss in ends]})


SHOWN_RATES = (0.01, 0.12, 0.21)  # creeps, arrives, is thrown out: the bound is 2 / 10
SHOWN_STEPS = 25


def opening() -> Figure:
    """Gradient descent in a valley, with three rates."""
    return gradient_descent(descents(SHOWN_RATES, SHOWN_STEPS), CURVATURES)
