"""The backward signal shrinks on its way, from layer to layer or from time step to time step."""

from __future__ import annotations

import numpy as np

from vanishgrad.diagnosis.advice import VANISHING, VANISHING_IN_TIME, advised
from vanishgrad.diagnosis.finding import Evidence, Finding, counted, factor, severe, small, sure
from vanishgrad.diagnosis.record import Mask, Record

DECADES = 2.0  # in a network that is known not to learn
DECADES_UNKNOWN = 3.0  # where nothing tells, or it is too early to say
DECADES_IN_TIME = 3.0
BLANK = 0.5  # of the hidden layers
MOVED = 0.01  # of their first weights: layers that went so far do get a gradient


def vanishing(record: Record) -> Finding | None:
    """Across the hidden layers the signal shrinks, lastingly, and training achieves nothing.

    A network that learns is not vanishing, whatever its slope. Where it is not known whether it learns, one
    whose first layers move is not either, unless the fall is so deep that noise moves them.
    """
    falls = record.falls
    known = record.sound & np.isfinite(falls)
    if record.diverged or record.learned or not known.any() or _without_weights(record):
        return None
    lasting, first = _lasting(record, known), float(falls[known][0])
    needed = DECADES if record.learned is False else DECADES_UNKNOWN
    if first <= -DECADES or (record.thrown and first < needed):  # what is left of it lets nothing through
        return None
    moving = record.learned is None and record.early_drift >= MOVED
    if lasting < needed * (1 + moving):
        return None
    slope = lasting / record.span
    evidence: Evidence = {
        "decades_at_start": first,
        "decades_lasting": lasting,
        "decades_per_layer": slope,
        "threshold_decades": needed,
        "early_drift": record.early_drift,
        "quantity": record.signal_name,
    }
    return Finding(
        "vanishing",
        severe(lasting, needed, certain=record.learned is False),
        sure(lasting, needed),
        _starved(record),
        record.at(known & (falls >= needed)),
        evidence,
        advised(VANISHING, record.setting),
        sentence=f"The gradient shrinks {factor(slope)} per layer on its way to the input, by {lasting:.1f} "
        f"decades over {counted(int(record.flowing.sum()), 'hidden layer')}{_still(record)}.",
    )


def vanishing_in_time(record: Record) -> Finding | None:
    """The same from the last time step of a recurrent network to the first: of the state, and of the cell."""
    through = record.through_time
    if through is None or record.diverged or record.learned:
        return None
    falls = np.fmin(through.falls, through.cells)  # the cell is a way of its own
    known = np.isfinite(falls)
    if not known.any() or float(np.median(falls[known])) < DECADES_IN_TIME:
        return None
    lasting = float(np.median(falls[known]))
    evidence: Evidence = {
        "decades_at_start": float(falls[known][0]),
        "decades_lasting": lasting,
        "time_steps": through.length,
        "threshold_decades": DECADES_IN_TIME,
    }
    return Finding(
        "vanishing",
        severe(lasting, DECADES_IN_TIME, certain=record.learned is False),
        sure(lasting, DECADES_IN_TIME),
        record.named(record.hidden),
        int(through.steps[known & (falls >= DECADES_IN_TIME)][0]),
        evidence,
        advised(VANISHING_IN_TIME, record.setting),
        where="time",
        sentence=f"The gradient of the state shrinks {factor(lasting / max(1, through.length - 1))} per time "
        f"step on its way back, by {lasting:.1f} decades over {through.length} time steps.",
    )


def _without_weights(record: Record) -> bool:
    """Whether most hidden layers have no weights, from the start or since a penalty pulled them to 0."""
    gone = (record.blank | record.shrunk)[record.hidden]
    return bool(gone.size and gone.mean() > BLANK)


def _lasting(record: Record, known: Mask) -> float:
    """The fall in the middle of the run, or of its last third where it comes later.

    Where it is not known whether the network learns, it must be there all along.
    """
    whole = float(np.median(record.falls[known]))
    late = record.falls[known & record.late]
    end = float(np.median(late)) if late.size else whole
    return max(whole, end) if record.learned is False else min(whole, end)


def _starved(record: Record) -> tuple[int, ...]:
    """The layers whose signal is less than a tenth of the largest at the end, and the first in any case."""
    places = np.flatnonzero(record.flowing)
    levels = np.fmax.reduce(record.signal[record.late])
    weak = ~(levels >= 0.1 * levels.max(initial=0.0))
    return tuple(int(layer) for layer in record.layers[places[weak | (places == places[0])]])


def _still(record: Record) -> str:
    """How little the first layers moved, where that is known and little."""
    drift, reached = record.early_drift, record.steps[-1]
    if not drift < MOVED or reached == 0:
        return ""
    steps = counted(int(reached), "step")
    return f"; after {steps} the first layers have moved by {small(drift)} of their weights"
