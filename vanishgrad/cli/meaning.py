"""What a run's gradients say, in one sentence."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vanishgrad.report.layers import at_end, at_start
from vanishgrad.report.runs import SavedRun
from vanishgrad.report.slope import gradient_slope
from vanishgrad.report.tables import run_verdict

FLAT = 0.02  # decades per layer, about 5 %
QUANTITIES = {
    "weight_norm": "weights", "act_mean": "activations", "act_std": "activations",
    "delta_norm": "gradient", "grad_norm": "weight gradient", "bias_grad_norm": "bias gradient",
}  # fmt: skip
WORDS = {"learns": "It learns", "does not learn": "It does not learn", "gradients flow": "Gradients flow"}


class Flow(NamedTuple):
    """How gradients pass through the hidden layers at one moment.

    `slope` in decades per layer, positive when they shrink towards the input; `ratio` is the first hidden
    layer's norm over the last one's. NaN where there is none.
    """

    slope: float
    ratio: float


def flow(run: SavedRun, *, end: bool) -> Flow:
    """Of delta_norm, or of the weights' gradients where nothing else was measured."""
    measured = np.isfinite(run.gradients["delta_norm"]).any()
    column = "delta_norm" if measured else "grad_norm"
    rows = run.gradients.assign(run="")
    moment = at_end(rows, column) if end else at_start(rows, column)
    return Flow(gradient_slope(moment["layer"], moment[column]), _ratio(moment, column))


def meaning(run: SavedRun, diverged_at: dict[str, Any] | None) -> str:
    """The verdict with its evidence: `Vanishing: gradients shrink 4.3 x per layer towards the input: ...`."""
    start, end = flow(run, end=False), flow(run, end=True)
    parts = [_divergence(diverged_at)] if diverged_at else []
    parts.append(_told(end if math.isnan(start.slope) else start))
    if abs(end.slope - start.slope) >= FLAT:  # false where there is none
        parts.append(f"at the end they {_change(end.slope)}")
    return f"{_word(run)}: {'; '.join(parts)}."


def _word(run: SavedRun) -> str:
    verdict = run_verdict(run)
    return WORDS.get(verdict, verdict.capitalize())


def _divergence(at: dict[str, Any]) -> str:
    what = QUANTITIES.get(at.get("what", ""), "loss")
    where = "" if what == "loss" else f" of layer {at['layer']}"
    return f"at step {at['step']} the {what}{where} stopped being finite"


def _told(start: Flow) -> str:
    if math.isnan(start.slope):
        return "too few hidden layers with a gradient to tell a slope"
    if abs(start.slope) < FLAT:
        return "gradients have about the same size in every hidden layer"
    return f"gradients {_change(start.slope)} towards the input{_compared(start.ratio)}"


def _change(slope: float) -> str:
    if abs(slope) < FLAT:
        return "keep their size"
    return f"{'shrink' if slope > 0 else 'grow'} {10 ** abs(slope):.3g} x per layer"


def _compared(ratio: float) -> str:
    if math.isnan(ratio):
        return ""
    return f", and the first layer's is {ratio:.2g} {'of' if ratio < 1 else 'times'} the last hidden layer's"


def _ratio(moment: pd.DataFrame, column: str) -> float:
    """Of the first hidden layer's norm to the last one's; NaN unless both are there."""
    hidden = moment.sort_values("layer")[column].to_numpy()[:-1]
    there = hidden.size >= 2 and np.isfinite(hidden[[0, -1]]).all() and hidden[-1] > 0
    return float(hidden[0] / hidden[-1]) if there else math.nan
