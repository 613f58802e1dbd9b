"""The gradient of each setting as a drawing of the size of a word, for its row of the page's table."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from vanishgrad.diagnosis.layers import at_start
from vanishgrad.report.figures.canvas import loggable
from vanishgrad.report.runs import Runs

WIDTH, HEIGHT = 120.0, 27.0
MOST_DECADES = 24.0  # that the height stands for: a single explosion would flatten all others
MOST_POINTS = 60


def by_layer(runs: Runs) -> dict[str, str]:
    """By setting: the initial network's gradient norm over layers, dLoss/dz where that was measured."""
    column = "delta_norm" if runs.gradients["delta_norm"].notna().any() else "grad_norm"
    rows = at_start(runs.gradients, column)
    hidden = rows[rows["layer"] < rows.groupby("run")["layer"].transform("max")]
    return _drawn(hidden, "layer", column)


def by_time(runs: Runs) -> dict[str, str]:
    """By setting: the initial network's gradient of the state over time steps."""
    rows = runs.extra("time_gradients")
    return {} if rows.empty else _drawn(rows[rows["moment"] == "start"], "t", "grad_norm")


def _drawn(rows: pd.DataFrame, x: str, y: str) -> dict[str, str]:
    """All on one logarithmic scale, so that they can be compared; lines of one point are left out."""
    logs = rows.assign(log=np.log10(loggable(rows[y].to_numpy(float)))).dropna(subset="log")
    middle = logs.groupby(["setting", x], sort=False)["log"].median()
    if middle.empty:
        return {}
    high = float(middle.max())
    low = max(float(middle.min()), high - MOST_DECADES)
    height = _height(low, high)
    lines = {str(setting): line.droplevel(0).sort_index() for setting, line in middle.groupby(level=0)}
    return {setting: _svg(line, x, height) for setting, line in lines.items() if len(line) > 1}


def _height(low: float, high: float) -> Callable[[float], float]:
    """From a log10 to its place between the bottom and the top; never less than two decades between them."""
    span = max(high - low, 2.0)
    return lambda value: 2 + (HEIGHT - 4) * (1 - (min(max(value, low), high) - low) / span)


def _svg(line: pd.Series[float], x: str, height: Callable[[float], float]) -> str:
    """The line, and the level that it would have were nothing lost on the way."""
    chosen = line.iloc[
        np.unique(np.linspace(0, len(line) - 1, min(len(line), MOST_POINTS)).round().astype(int))
    ]
    places = np.linspace(2, WIDTH - 2, len(chosen))
    points = [f"{place:.1f},{height(value):.1f}" for place, value in zip(places, chosen, strict=True)]
    last = height(float(chosen.iloc[-1]))
    first = points[0].split(",")
    what = {"layer": "layer", "t": "time step"}[x]
    ends = [f"{10 ** float(line.iloc[end]):.2g} at {what} {line.index[end]}" for end in (0, -1)]
    return (
        f"<svg class=profile viewBox='0 0 {WIDTH:g} {HEIGHT:g}' role=img><title>{', '.join(ends)}</title>"
        f"<path class=even d='M2,{last:.1f}H{WIDTH - 2:g}'/><path d='M{' '.join(points)}'/>"
        f"<circle cx={first[0]} cy={first[1]} r=2.4 /></svg>"
    )
