"""The first picture of the book."""

from __future__ import annotations

from matplotlib.figure import Figure

from vanishgrad.lab.valley import CURVATURES, descents
from vanishgrad.report.figures import gradient_descent

RATES = (0.01, 0.12, 0.21)  # creeps, arrives, is thrown out: the bound is 2 / 10
STEPS = 25


def opening() -> Figure:
    """Gradient descent in a valley, with three rates."""
    return gradient_descent(descents(RATES, STEPS), CURVATURES)
