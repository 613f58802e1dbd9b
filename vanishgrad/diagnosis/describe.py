"""What a run's tables and its findings say, in sentences: for the terminal, the report and the lab.

A finding has a sentence of its own, which is printed wherever it is told; here is what is said around it, and
of runs with which nothing is wrong. Pure functions of tables.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from vanishgrad.diagnosis.finding import Diagnosis, Finding, counted, factor
from vanishgrad.diagnosis.layers import (
    FEWEST_LAYERS,
    Floats,
    Ints,
    Measured,
    When,
    decades_across,
    decades_through,
    gradient_slope,
    log_slope,
    place_of,
)
from vanishgrad.diagnosis.vanishing import DECADES, DECADES_IN_TIME, DECADES_UNKNOWN
from vanishgrad.rows import Columns

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


def flow(gradients: Measured, when: When) -> Flow:
    """At the first logged step, or at the last one that is finite."""
    return _flow(gradients, place_of(gradients.column(gradients.signal), when))


def first_flow(gradients: Measured) -> Flow:
    """At the first logged step that has a slope: what is zero by construction at step 0 may not stay so."""
    norms = gradients.column(gradients.signal)[:, :-1]
    alive = (np.isfinite(norms) & (norms > 0)).sum(axis=1)
    sloped = np.flatnonzero(alive >= FEWEST_LAYERS)
    return _flow(gradients, int(sloped[0])) if sloped.size else flow(gradients, "start")


class States(NamedTuple):
    """Norms of the gradients of recurrent states at one moment, all layers together.

    Arguments:
        t: time steps, ascending, `(steps,)`.
        norms: as many.
    """

    t: Ints
    norms: Floats


def flow_through_time(states: States | None) -> Flow:
    """From the last time step of a recurrent network to the first; NaN where there is none."""
    if states is None:
        return Flow(math.nan)
    t, norm = states
    ends = norm.size >= 2 and np.isfinite(norm[[0, -1]]).all() and norm[-1] > 0
    return Flow(log_slope(t, norm), decades_through(t, norm), norm[0] / norm[-1] if ends else math.nan)


def moment_name(gradients: Measured, step: int) -> str:
    """`at the start`, `at the end` or `at step 40`."""
    named = {int(gradients.steps[-1]): "at the end"} | {int(gradients.steps[0]): "at the start"}
    return named.get(step, f"at step {step}")


def meaning(
    gradients: Measured, metrics: pd.DataFrame | Columns, states: Mapping[When, States], diagnosis: Diagnosis
) -> str:
    """Say what came of a run: the worst finding in its own words, and how gradients pass where it is silent.

    `Vanishing: the gradient shrinks 4.3 x per layer ...`, or `It learns. At the start gradients ...`.

    Arguments:
        gradients: of the run.
        metrics: rows of metrics.csv.
        states: by the moment; empty for a network that is not recurrent.
        diagnosis: of the run.
    """
    worst = diagnosis.findings[:1]
    said = [_finding(one) for one in worst] or [f"{_without_finding(gradients, metrics, diagnosis)}."]
    said += [_finding(one) for one in diagnosis.findings[1:] if one.finding == "diverged"]
    layers = [] if _says_slope(worst, "layers") else _layers(gradients)
    time = [] if _says_slope(worst, "time") else _through_time(states)
    if states and gradients.layers[-1] <= FEWEST_LAYERS:
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


def _without_finding(gradients: Measured, metrics: pd.DataFrame | Columns, diagnosis: Diagnosis) -> str:
    """What is said of a run with which nothing is wrong as far as is known."""
    learned = diagnosis.learned
    steps = max(int(np.max(steps)) for steps in (gradients.steps, metrics["step"]) if len(steps))
    if steps == 0:
        return "Not trained yet"
    if learned or np.isnan(np.asarray(metrics["train_loss"], np.float64)).all():
        return "It learns" if learned else "Gradients flow"
    return "It learns slowly" if learned is False else f"Not learned after {counted(steps, 'step')}"


def _layers(gradients: Measured) -> list[str]:
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


def _through_time(states: Mapping[When, States]) -> list[str]:
    """How the gradients of a recurrent network's states change from the last time step to the first."""
    said: list[str] = []
    moments: tuple[When, ...] = ("start", "end")
    for when in moments:
        seen = flow_through_time(states.get(when))
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


def _no_slope(gradients: Measured) -> str:
    norms = gradients.column(gradients.signal)
    if gradients.layers[-1] <= FEWEST_LAYERS:
        return "there is no slope with fewer than two hidden layers"
    known = ~np.isnan(norms)
    if known.any() and (norms[known] == 0).all():
        return "every gradient is exactly 0"
    if known.any() and (norms[:, :-1][known[:, :-1]] == 0).all():
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


def _flow(gradients: Measured, place: int | None) -> Flow:
    """At the logged step in a place."""
    if place is None:
        return Flow(math.nan, math.nan, math.nan, -1)
    layers, norm = gradients.layers, gradients.column(gradients.signal)[place]
    step = int(gradients.steps[place])
    return Flow(gradient_slope(layers, norm), decades_across(layers, norm), _ratio(norm[:-1]), step)


def _ratio(hidden: Floats) -> float:
    """Of the first hidden layer's norm to the last one's; NaN unless both are there."""
    known = hidden.size >= 2 and np.isfinite(hidden[[0, -1]]).all() and hidden[-1] > 0
    return float(hidden[0] / hidden[-1]) if known else math.nan
