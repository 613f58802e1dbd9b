"""What a sweep keeps of a run that has ended, for the line that tells of it and for the table of all runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vanishgrad.diagnosis import diagnose
from vanishgrad.diagnosis.describe import flow
from vanishgrad.diagnosis.layers import Measured, When, gradient_slope, log_slope, measured, place_of
from vanishgrad.diagnosis.tables import Rows, through_layers
from vanishgrad.engine import Result
from vanishgrad.engine.recorder import baseline
from vanishgrad.records import (
    GRADIENTS_FILE,
    TIME_GRADIENTS_FILE,
    UnreadableRun,
    read_extra,
    read_gradients,
)


def final_numbers(result: Result) -> dict[str, float | None]:
    """The last known metrics, and the slope of the gradients over the layers at the first logged step."""
    return {**result.final, "gradient_slope": initial_slope(result.tables[GRADIENTS_FILE])}


def initial_slope(gradients: Rows) -> float:
    """Decades per layer at the first step that has gradients, positive when they shrink towards the input.

    Of dLoss/dz, or of dLoss/dW where nothing else was measured; NaN where there is no slope.

    Arguments:
        gradients: the rows of gradients.csv.
    """
    return flow(measured(gradients), "start").slope


def initial_slope_in(folder: Path) -> dict[str, float | None]:
    """What `final_numbers` has next to the metrics, of a run folder; nothing where it has no gradients."""
    try:
        rows = read_gradients(folder)
    except UnreadableRun:
        return {}
    return {"gradient_slope": initial_slope(rows)} if len(rows) else {}


def summary(result: Result) -> dict[str, Any]:
    """What else the table of a sweep says of a run, as `Outcome.summary` keeps it.

    `best`: the metrics of the evaluation with the lowest held-out loss. `slopes`: of dLoss/dz over the layers
    at the start and at the end, and of the states over time, by the names of columns. `baseline`: as in
    run.json. `verdict`: of the diagnosis.
    """
    tables = result.tables
    slopes = _slopes(tables[GRADIENTS_FILE], tables.get(TIME_GRADIENTS_FILE))
    return _summary(result.best, slopes, baseline(result.run), result.diagnosis.verdict)


def summary_in(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a run folder; empty where its tables cannot be read."""
    try:
        slopes = _slopes(read_gradients(folder), read_extra(folder, TIME_GRADIENTS_FILE))
        verdict = diagnose(folder).verdict
    except UnreadableRun:
        return {}
    best = (record.get("metrics") or {}).get("best") or {}
    return _summary(best, slopes, record.get("baseline"), verdict)


def _summary(
    best: Mapping[str, Any], slopes: dict[str, float], baseline: Any, verdict: str
) -> dict[str, Any]:
    return {"best": dict(best), "slopes": slopes, "baseline": baseline, "verdict": verdict}


def _slopes(gradients: Rows, states: Rows | None) -> dict[str, float]:
    layers = measured(gradients)
    return {
        "gradient_slope": _over_layers(layers, "start"),
        "gradient_slope_final": _over_layers(layers, "end"),
        "time_slope": _over_time(states),
    }


def _over_layers(gradients: Measured, when: When) -> float:
    norms = gradients.column("delta_norm")
    place = place_of(norms, when)
    return math.nan if place is None else gradient_slope(gradients.layers, norms[place])


def _over_time(states: Rows | None) -> float:
    if states is None or not len(states):
        return math.nan
    _, times, norms = through_layers(states, "grad_norm")
    place = place_of(norms, "start")
    return math.nan if place is None else log_slope(times, norms[place])
