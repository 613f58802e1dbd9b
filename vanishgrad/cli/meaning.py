"""What a run's gradients say, in one or two sentences."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from vanishgrad.diagnosis.finding import QUANTITIES, Finding
from vanishgrad.diagnosis.layers import (
    FEWEST_LAYERS,
    decades_across,
    decades_through,
    gradient_slope,
    log_slope,
)
from vanishgrad.diagnosis.vanishing import DECADES
from vanishgrad.report.labels import counted
from vanishgrad.report.runs import SavedRun

FLAT = 0.05  # decades per layer, about 12 %
ALIKE = 2.0  # norms within this factor of each other are not worth a ratio
OF_GRADIENTS = ("vanishing", "exploding", "diverged")  # what the sentence on gradients is the evidence of


class Flow(NamedTuple):
    """How gradients pass through the hidden layers at one moment.

    `slope` in decades per layer, positive when they shrink towards the input; `decades` the same across all
    hidden layers; `ratio` is the first hidden layer's norm over the last one's. NaN where there is none.
    `step` is -1 where no gradient is finite.
    """

    slope: float
    decades: float
    ratio: float
    step: int

    @property
    def flat(self) -> bool:
        """Whether it passes for no slope at all: so small, and no evidence of vanishing across all layers."""
        return abs(self.slope) < FLAT and abs(self.decades) < DECADES


def flow(run: SavedRun, *, end: bool) -> Flow:
    """The first logged step, or the last one that is finite."""
    return _flow(run.moment(run.signal, "end" if end else "start"), run.signal)


def described(run: SavedRun) -> Flow:
    """The first logged step that has a slope: what is zero by construction at step 0 may not stay so."""
    rows, column = run.gradients, run.signal
    alive = rows[(rows["layer"] < rows["layer"].max()) & np.isfinite(rows[column]) & (rows[column] > 0)]
    layers = alive.groupby("step").size()
    sloped = layers.index[layers >= FEWEST_LAYERS]
    return _flow(rows[rows["step"] == sloped.min()], column) if len(sloped) else flow(run, end=False)


def when(run: SavedRun, step: int) -> str:
    """`at the start`, `at the end` or `at step 40`."""
    steps = run.gradients["step"]
    named = {steps.max(): "at the end"} | {steps.min(): "at the start"}
    return named.get(step, f"at step {step}")


def meaning(run: SavedRun, diverged_at: dict[str, Any] | None) -> str:
    """The verdict with its evidence: `Vanishing: at the start gradients shrink 4.3 x per layer ...`."""
    parts = [_divergence(diverged_at)] if diverged_at else []
    through_time = _through_time(run)
    if not (through_time and run.gradients["layer"].max() <= FEWEST_LAYERS):
        parts += _told(run, described(run))
    parts += through_time
    found, evidence = run.diagnosis.findings, "; ".join(parts)
    if found and found[0].finding in OF_GRADIENTS:
        return f"{found[0].words.capitalize()}: {evidence}."
    opening = _opening(found[0]) if found else f"{_without_finding(run)}."
    return f"{opening} {evidence[:1].upper()}{evidence[1:]}."


def _opening(finding: Finding) -> str:
    """`Dead units: 60% of ...`."""
    if finding.finding == "not_learning":
        return "It does not learn."
    return f"{finding.words.capitalize()}: {finding.sentence[:1].lower()}{finding.sentence[1:]}"


def _without_finding(run: SavedRun) -> str:
    """What is said of a run with which nothing is wrong as far as is known."""
    learned = run.diagnosis.learned
    if run.steps == 0:
        return "Not trained yet"
    if learned or not run.metrics["train_loss"].notna().any():
        return "It learns" if learned else "Gradients flow"
    return "It learns slowly" if learned is False else f"Not learned after {counted(run.steps, 'step')}"


def _divergence(at: dict[str, Any]) -> str:
    if at.get("what") == "pretraining_loss":
        return (
            f"in pretraining, at epoch {at['epoch']}, the loss of layer {at['layer']} stopped being finite; "
            "a smaller pretrain.lr keeps it"
        )
    what = QUANTITIES.get(at.get("what", ""), "loss")
    where = "" if what == "loss" else f" of layer {at['layer']}"
    return f"at step {at['step']} the {what}{where} stopped being finite"


def _told(run: SavedRun, start: Flow) -> list[str]:
    """The gradients of the step described, and what became of them."""
    if math.isnan(start.slope):
        return [_no_slope(run)]
    end, moment = flow(run, end=True), when(run, start.step)
    if start.flat:
        told = [f"{moment} gradients have about the same size in every hidden layer"]
    else:
        told = [f"{moment} gradients {_change(start)} towards the input{_compared(start)}"]
    if end.step > start.step and abs(end.slope - start.slope) >= FLAT:
        told.append(f"{when(run, end.step)} they {_change(end)}")
    return told


def _through_time(run: SavedRun) -> list[str]:
    """How the gradients of a recurrent network's states change from the last time step to the first."""
    rows = run.extra("time_gradients")
    told: list[str] = []
    for moment in ("start", "end") if len(rows) else ():
        there = rows[rows["moment"] == moment]
        found = _over_time(there["t"], there["grad_norm"])
        if not math.isnan(found.slope):
            change = "keep their size" if found.flat else f"{_grown(found)} per time step"
            who = "they" if told else "gradients"
            where = "" if told else " back through time"
            told.append(f"at the {moment} {who} {change}{where}{_first_of_last(found)}")
    return told


def _over_time(t: pd.Series, norm: pd.Series) -> Flow:
    ordered = norm[t.sort_values().index].to_numpy()
    ends = ordered.size >= 2 and np.isfinite(ordered[[0, -1]]).all() and ordered[-1] > 0
    return Flow(
        log_slope(t, norm), decades_through(t, norm), ordered[0] / ordered[-1] if ends else math.nan, 0
    )


def _grown(found: Flow) -> str:
    return f"{'shrink' if found.slope > 0 else 'grow'} {10 ** abs(found.slope):.3g} x"


def _first_of_last(found: Flow) -> str:
    """The ratio of the first time step's norm to the last one's, unless it is near 1."""
    if math.isnan(found.ratio) or 1 / ALIKE <= found.ratio <= ALIKE:
        return ""
    return f", the first state's is {found.ratio:.2g} of the last's"


def _no_slope(run: SavedRun) -> str:
    rows = run.gradients.dropna(subset=run.signal)
    output, zero = run.gradients["layer"].max(), rows[run.signal] == 0
    if output <= FEWEST_LAYERS:
        return "there is no slope with fewer than two hidden layers"
    if len(rows) and zero.all():
        return "every gradient is exactly 0"
    if len(rows) and zero[rows["layer"] < output].all():
        return "every hidden layer's gradient is exactly 0"
    return "fewer than two hidden layers have a gradient that is finite and not 0"


def _change(found: Flow) -> str:
    if found.flat:
        return "keep their size"
    return f"{'shrink' if found.slope > 0 else 'grow'} {10 ** abs(found.slope):.3g} x per layer"


def _compared(found: Flow) -> str:
    """The ratio of the ends, unless it is near 1."""
    if math.isnan(found.ratio) or 1 / ALIKE <= found.ratio <= ALIKE:
        return ""
    link = "and" if (found.ratio < 1) == (found.slope > 0) else "but"
    if found.ratio == 0:
        return f", {link} the first layer's is exactly 0"
    how = "of" if found.ratio < 1 else "times"
    return f", {link} the first layer's is {found.ratio:.2g} {how} the last hidden layer's"


def _flow(moment: pd.DataFrame, column: str) -> Flow:
    layer, norm = moment["layer"], moment[column]
    step = int(moment["step"].iloc[0]) if len(moment) else -1
    return Flow(gradient_slope(layer, norm), decades_across(layer, norm), _ratio(moment, column), step)


def _ratio(moment: pd.DataFrame, column: str) -> float:
    """Of the first hidden layer's norm to the last one's; NaN unless both are there."""
    hidden = moment.sort_values("layer")[column].to_numpy()[:-1]
    there = hidden.size >= 2 and np.isfinite(hidden[[0, -1]]).all() and hidden[-1] > 0
    return float(hidden[0] / hidden[-1]) if there else math.nan
