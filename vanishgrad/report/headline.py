"""The two sentences on top of a report: what was compared, and what came out."""

from __future__ import annotations

import numpy as np
import pandas as pd

from vanishgrad.report.labels import counted, flatten, shown
from vanishgrad.report.runs import Runs

MOST_VALUES = 8
FLAT_SLOPE = 0.05


def compared(runs: Runs) -> str:
    """`6 settings, 18 runs: act = sigmoid, tanh, relu; norm = none, batch`."""
    settings = len(set(runs.labels))
    count = f"{counted(settings, 'setting')}, {counted(len(runs), 'run')}"
    detail = "; ".join(f"{key} = {_values(runs, key)}" for key in runs.keys) or ", ".join(
        dict.fromkeys(runs.labels)
    )
    return f"{count}: {detail}"


def answer(settings: pd.DataFrame) -> str:
    """Who learns, and who loses most gradient on its way to the first layer."""
    return " ".join(filter(None, (_learning(settings), _flow(settings))))


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
    accuracy = settings.get("final_val_accuracy_mean")
    if accuracy is None or not np.isfinite(accuracy).any():
        return ""
    row = settings.iloc[int(accuracy.argmax())]
    return f"; the most accurate is {row['setting']} ({row['final_val_accuracy_mean']:.1%})"


def _flow(settings: pd.DataFrame) -> str:
    """The setting whose slope at the start is furthest from flat."""
    slope = settings["gradient_slope_mean"]
    if not np.isfinite(slope).any():
        return ""
    worst = settings.iloc[int(slope.abs().argmax())]
    if abs(worst["gradient_slope_mean"]) < FLAT_SLOPE:
        return "Gradients pass through all layers about unchanged at the start."
    way = "shrink" if worst["gradient_slope_mean"] > 0 else "grow"
    factor = 10 ** abs(worst["gradient_slope_mean"])
    who = "gradients" if len(settings) == 1 else f"in {worst['setting']} gradients"
    return f"At the start {who} {way} by a factor of {factor:.3g} per layer towards the input" + (
        "." if len(settings) == 1 else ", more than in any other setting."
    )


def _values(runs: Runs, key: str) -> str:
    values = dict.fromkeys(
        shown(flat[key]) for flat in map(flatten, (run.choices for run in runs)) if key in flat
    )
    listed = list(values)[:MOST_VALUES]
    return ", ".join(listed) + (f" and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else "")
