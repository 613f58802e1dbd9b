"""The two sentences on top of a report: what was compared, and what came out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from vanishgrad.report.labels import counted, flatten, shown
from vanishgrad.report.runs import Runs

MOST_VALUES = 8
FLAT_SLOPE = 0.05  # decades per layer
FLAT_TIME_SLOPE = 0.005  # decades per time step: half a decade in a hundred


def compared(runs: Runs) -> str:
    """`6 settings, 18 runs: act = sigmoid, tanh, relu; norm = none, batch`."""
    settings = len(set(runs.labels))
    count = f"{counted(settings, 'setting')}, {counted(len(runs), 'run')}"
    detail = "; ".join(f"{key} = {_values(runs, key)}" for key in runs.keys) or ", ".join(
        dict.fromkeys(runs.labels)
    )
    return f"{count}: {detail}"


def answer(settings: pd.DataFrame) -> str:
    """Who learns, and who loses most gradient on its way to the first layer or the first time step."""
    said = _learning(settings), _flow(settings), _flow_through_time(settings)
    return " ".join(filter(None, said))


def _learning(settings: pd.DataFrame) -> str:
    learns = settings["verdict"] == "learns"
    best = _best(settings)
    if len(settings) == 1:
        return f"{settings['setting'].iloc[0]}: {settings['verdict'].iloc[0]}."
    if not learns.any():
        return "No setting learns with every seed."
    said = (
        "Every setting learns" if learns.all() else f"{int(learns.sum())} of {len(settings)} settings learn"
    )
    return f"{said}{best}."


def _best(settings: pd.DataFrame) -> str:
    """By accuracy, or by loss where no accuracy exists."""
    accuracy, loss = (settings.get(f"final_val_{name}_mean") for name in ("accuracy", "loss"))
    if accuracy is not None and np.isfinite(accuracy).any():
        row = settings.iloc[int(accuracy.argmax())]
        return f"; the most accurate is {row['setting']} ({row['final_val_accuracy_mean']:.1%})"
    if loss is not None and np.isfinite(loss).any():
        row = settings.iloc[int(loss.where(np.isfinite(loss)).argmin())]
        return f"; the lowest loss is that of {row['setting']} ({row['final_val_loss_mean']:.3g})"
    return ""


def _flow(settings: pd.DataFrame) -> str:
    """The setting whose slope at the start is furthest from flat."""
    worst = _steepest(settings, "gradient_slope")
    if worst is None:
        return ""
    if abs(worst["gradient_slope_mean"]) < FLAT_SLOPE:
        return "Gradients pass through all layers about unchanged at the start."
    return _told(settings, worst, "gradient_slope", "per layer towards the input")


def _flow_through_time(settings: pd.DataFrame) -> str:
    worst = _steepest(settings, "time_slope")
    if worst is None:
        return ""
    if abs(worst["time_slope_mean"]) < FLAT_TIME_SLOPE:
        return "Through time gradients pass about unchanged at the start."
    return _told(settings, worst, "time_slope", "per time step towards the first")


def _steepest(settings: pd.DataFrame, name: str) -> pd.Series[Any] | None:
    slope = settings.get(f"{name}_mean")
    if slope is None or not np.isfinite(slope).any():
        return None
    return settings.iloc[int(slope.abs().argmax())]


def _told(settings: pd.DataFrame, worst: pd.Series[Any], name: str, where: str) -> str:
    slope = worst[f"{name}_mean"]
    way = "shrink" if slope > 0 else "grow"
    who = "gradients" if len(settings) == 1 else f"in {worst['setting']} gradients"
    return f"At the start {who} {way} by a factor of {10 ** abs(slope):.3g} {where}" + (
        "." if len(settings) == 1 else ", more than in any other setting."
    )


def _values(runs: Runs, key: str) -> str:
    values = dict.fromkeys(
        shown(flat[key]) for flat in map(flatten, (run.choices for run in runs)) if key in flat
    )
    listed = list(values)[:MOST_VALUES]
    return ", ".join(listed) + (f" and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else "")
