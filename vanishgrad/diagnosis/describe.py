"""What a run's tables and its findings say, in sentences: for the terminal, the report and the lab.

A finding has a sentence of its own, which is printed wherever it is told; here is what is said around it, and
of runs with which nothing is wrong. Pure functions of tables.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from vanishgrad.diagnosis.finding import Diagnosis, Finding, counted, factor
from vanishgrad.diagnosis.layers import (
    FEWEST_LAYERS,
    When,
    decades_across,
    decades_through,
    gradient_slope,
    log_slope,
    moment,
)
from vanishgrad.diagnosis.vanishing import DECADES, DECADES_IN_TIME, DECADES_UNKNOWN

if TYPE_CHECKING:
    import pandas as pd

FLAT = 0.05  # decades per layer or time step, about 12 %
Where: TypeAlias = Literal["layers", "time"]
WORDS = {
    "layers": ("through all layers", "per layer towards the input"),
    "time": ("back through time", "per time step towards the first"),
}
SLOPE = {"layers": "decades_per_layer", "time": "time_steps"}  # evidence of a finding that tells of a slope
ALIKE = 2.0  # norms within this factor of each other are not worth a ratio


SLOPE_LEGEND = (
    "Slope: decades per hidden layer by which the gradient shrinks towards the input; 0 is even, positive is "
    "vanishing, negative is exploding. Vanishing and exploding are said of settings that do not learn and "
    f"whose gradient changes by a factor of {10**DECADES:g} or more across the hidden layers, or of "
    f"{10**DECADES_UNKNOWN:g} where it is not known whether they learn."
)
TIME_SLOPE_LEGEND = (
    "Time slope: decades per time step by which the gradient of the recurrent state shrinks towards the "
    "first time step, at the start; vanishing and exploding through time are said of settings that do not "
    f"learn and where it changes by a factor of {10**DECADES_IN_TIME:g} or more from the last time step to "
    "the first."
)


class Flow(NamedTuple):
    """How gradients pass through the hidden layers, or back through time, at one moment.

    `slope` in decades per layer or time step, positive when they shrink on their way; `decades` the same
    across all of them; `ratio` is the norm where they arrive over the one where they come from. NaN where
    there is none. `step` is -1 where no gradient is finite.
    """

    slope: float
    decades: float = math.nan
    ratio: float = math.nan
    step: int = 0

    @property
    def flat(self) -> bool:
        """Whether it passes for no slope at all: so small, and no evidence of vanishing across all of it."""
        return abs(self.slope) < FLAT and not abs(self.decades) >= DECADES

    @property
    def change(self) -> str:
        """`shrink 4.3 x`, or `keep their size`."""
        if self.flat:
            return "keep their size"
        return f"{'shrink' if self.slope > 0 else 'grow'} {factor(self.slope)}"


def signal_of(gradients: pd.DataFrame) -> str:
    """The column that tells how gradients pass: dLoss/dz, or dLoss/dW where nothing else was measured."""
    return "delta_norm" if gradients["delta_norm"].notna().any() else "grad_norm"


def flow(gradients: pd.DataFrame, when: When) -> Flow:
    """At the first logged step, or at the last one that is finite.

    Arguments:
        gradients: rows of gradients.csv, one per layer: see `by_layer`.
        when: start or end.
    """
    column = signal_of(gradients)
    return _flow(moment(gradients, column, when), column)


def first_flow(gradients: pd.DataFrame) -> Flow:
    """At the first logged step that has a slope: what is zero by construction at step 0 may not stay so."""
    rows, column = gradients, signal_of(gradients)
    alive = rows[(rows["layer"] < rows["layer"].max()) & np.isfinite(rows[column]) & (rows[column] > 0)]
    layers = alive.groupby("step").size()
    sloped = layers.index[layers >= FEWEST_LAYERS]
    return _flow(rows[rows["step"] == sloped.min()], column) if len(sloped) else flow(rows, "start")


def flow_through_time(states: pd.DataFrame, when: When) -> Flow:
    """From the last time step of a recurrent network to the first; NaN where there is none.

    Arguments:
        states: `moment` (start or end), `t` and `grad_norm` of all recurrent layers together.
        when: the moment.
    """
    if not len(states):
        return Flow(math.nan)
    rows = states[states["moment"] == when].sort_values("t")
    t, norm = rows["t"], rows["grad_norm"].to_numpy()
    ends = norm.size >= 2 and np.isfinite(norm[[0, -1]]).all() and norm[-1] > 0
    return Flow(log_slope(t, norm), decades_through(t, norm), norm[0] / norm[-1] if ends else math.nan)


def moment_name(gradients: pd.DataFrame, step: int) -> str:
    """`at the start`, `at the end` or `at step 40`."""
    steps = gradients["step"]
    named = {steps.max(): "at the end"} | {steps.min(): "at the start"}
    return named.get(step, f"at step {step}")


def meaning(
    gradients: pd.DataFrame, metrics: pd.DataFrame, states: pd.DataFrame, diagnosis: Diagnosis
) -> str:
    """Say what came of a run: the worst finding in its own words, and how gradients pass where it is silent.

    `Vanishing: the gradient shrinks 4.3 x per layer ...`, or `It learns. At the start gradients ...`.

    Arguments:
        gradients: rows of gradients.csv, one per layer.
        metrics: rows of metrics.csv.
        states: as `flow_through_time` takes them; no rows for a network that is not recurrent.
        diagnosis: of the run.
    """
    worst = diagnosis.findings[:1]
    said = [_finding(one) for one in worst] or [f"{_without_finding(gradients, metrics, diagnosis)}."]
    said += [_finding(one) for one in diagnosis.findings[1:] if one.finding == "diverged"]
    layers = [] if _says_slope(worst, "layers") else _layers(gradients)
    time = [] if _says_slope(worst, "time") else _through_time(states)
    if len(states) and gradients["layer"].max() <= FEWEST_LAYERS:
        layers = []
    evidence = "; ".join(layers + time)
    return " ".join([*said, f"{evidence[:1].upper()}{evidence[1:]}."] if evidence else said)


def headline(setting: str, finding: Finding | None, seen: Flow, where: Where) -> str:
    """Say how gradients pass in the setting in which they change most, in the words of its finding if any.

    Arguments:
        setting: its name; empty where it is the only one.
        finding: the worst that was found in it.
        seen: how gradients pass at the start, the mean over seeds.
        where: across the layers, or back through time.

    Example:
        >>> headline("", None, Flow(0.3), "layers")
        'At the start gradients shrink 2 x per layer towards the input.'
    """
    if finding is not None and _says_slope([finding], where):
        return f"{setting}: {finding.sentence}" if setting else finding.sentence
    whole, each = WORDS[where]
    if seen.flat:
        return f"At the start gradients keep their size {whole}."
    who = f"in {setting} gradients" if setting else "gradients"
    more = ", more than in any other setting" if setting else ""
    return f"At the start {who} {seen.change} {each}{more}."


def _finding(finding: Finding) -> str:
    """`Dead units: 60% of ...`."""
    return f"{finding.words.capitalize()}: {finding.sentence[:1].lower()}{finding.sentence[1:]}"


def _says_slope(findings: Sequence[Finding], where: Where) -> bool:
    """Whether the finding's own sentence is about how gradients pass there, or says that there are none."""
    if any(one.evidence.get("gradient_is_zero") for one in findings):
        return True
    return any(one.where == where and SLOPE[where] in one.evidence for one in findings)


def _without_finding(gradients: pd.DataFrame, metrics: pd.DataFrame, diagnosis: Diagnosis) -> str:
    """What is said of a run with which nothing is wrong as far as is known."""
    learned = diagnosis.learned
    steps = int(max(table["step"].max() for table in (gradients, metrics) if len(table)))
    if steps == 0:
        return "Not trained yet"
    if learned or not metrics["train_loss"].notna().any():
        return "It learns" if learned else "Gradients flow"
    return "It learns slowly" if learned is False else f"Not learned after {counted(steps, 'step')}"


def _layers(gradients: pd.DataFrame) -> list[str]:
    """The gradients of the step described, and what became of them."""
    start = first_flow(gradients)
    if math.isnan(start.slope):
        return [_no_slope(gradients)]
    end, when = flow(gradients, "end"), moment_name(gradients, start.step)
    if start.flat:
        said = [f"{when} gradients have about the same size in every hidden layer"]
    else:
        said = [f"{when} gradients {_per_layer(start)} towards the input{_compared(start)}"]
    if end.step > start.step and abs(end.slope - start.slope) >= FLAT:
        said.append(f"{moment_name(gradients, end.step)} they {_per_layer(end)}")
    return said


def _per_layer(seen: Flow) -> str:
    return seen.change if seen.flat else f"{seen.change} per layer"


def _through_time(states: pd.DataFrame) -> list[str]:
    """How the gradients of a recurrent network's states change from the last time step to the first."""
    said: list[str] = []
    moments: tuple[When, ...] = ("start", "end")
    for when in moments:
        seen = flow_through_time(states, when)
        if not math.isnan(seen.slope):
            change = seen.change if seen.flat else f"{seen.change} per time step"
            who, where = ("they", "") if said else ("gradients", " back through time")
            said.append(f"at the {when} {who} {change}{where}{_first_of_last(seen)}")
    return said


def _first_of_last(seen: Flow) -> str:
    """The ratio of the first time step's norm to the last one's, unless it is near 1."""
    if math.isnan(seen.ratio) or 1 / ALIKE <= seen.ratio <= ALIKE:
        return ""
    return f", the first state's is {seen.ratio:.2g} of the last's"


def _no_slope(gradients: pd.DataFrame) -> str:
    column = signal_of(gradients)
    rows = gradients.dropna(subset=column)
    output, zero = gradients["layer"].max(), rows[column] == 0
    if output <= FEWEST_LAYERS:
        return "there is no slope with fewer than two hidden layers"
    if len(rows) and zero.all():
        return "every gradient is exactly 0"
    if len(rows) and zero[rows["layer"] < output].all():
        return "every hidden layer's gradient is exactly 0"
    return "fewer than two hidden layers have a gradient that is finite and not 0"


def _compared(seen: Flow) -> str:
    """The ratio of the ends, unless it is near 1."""
    if math.isnan(seen.ratio) or 1 / ALIKE <= seen.ratio <= ALIKE:
        return ""
    link = "and" if (seen.ratio < 1) == (seen.slope > 0) else "but"
    if seen.ratio == 0:
        return f", {link} the first layer's is exactly 0"
    how = "of" if seen.ratio < 1 else "times"
    return f", {link} the first layer's is {seen.ratio:.2g} {how} the last hidden layer's"


def _flow(rows: pd.DataFrame, column: str) -> Flow:
    layer, norm = rows["layer"], rows[column]
    step = int(rows["step"].iloc[0]) if len(rows) else -1
    return Flow(gradient_slope(layer, norm), decades_across(layer, norm), _ratio(rows, column), step)


def _ratio(rows: pd.DataFrame, column: str) -> float:
    """Of the first hidden layer's norm to the last one's; NaN unless both are there."""
    hidden = rows.sort_values("layer")[column].to_numpy()[:-1]
    known = hidden.size >= 2 and np.isfinite(hidden[[0, -1]]).all() and hidden[-1] > 0
    return float(hidden[0] / hidden[-1]) if known else math.nan
