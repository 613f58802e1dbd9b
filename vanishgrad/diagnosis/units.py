"""Units that do not answer to their input: dead for good, or in the flat part of their activation."""

from __future__ import annotations

import numpy as np

from vanishgrad.diagnosis.advice import DEAD_UNITS, SATURATED, advised
from vanishgrad.diagnosis.finding import Finding, layers, severe, sure
from vanishgrad.diagnosis.layers import Floats
from vanishgrad.diagnosis.record import Mask, Record

DEAD_LAYER = 0.9  # of a layer's units: deep layers of relu have half of them off for a whole batch
DEAD_WHOLE = 0.6  # of all hidden units
DEAD_FIRST = 0.35  # of the first hidden layer's, which sees the inputs; of all on all data
SMALL_BATCH = 16  # below, units that are merely seldom active look dead
FLAT = 0.6  # of a layer's outputs in the flat part, in a network that does not learn
FLAT_UNKNOWN = 0.8  # where it is not known to fail, and of half of the layers in one that learns
FLAT_SLOPE, STEEPEST = 0.05, 0.25  # what counts as flat, relative to the steepest; that of sigmoid


def dead_units(record: Record) -> Finding | None:
    """Units whose slope is 0 on every example, at every logged step of the end of the run."""
    if record.diverged:
        return None
    dead, whole, exact = _dead(record)
    if not np.isfinite(dead).any() or _bounded(record):  # those are saturated
        return None
    small = not exact and record.setting.number("batch_size") < SMALL_BATCH
    needed = 1.0 if small else DEAD_LAYER
    born = not small and record.learned is not True and _first_layer(record, dead, exact, whole) >= DEAD_FIRST
    flagged = dead >= needed
    if not (flagged.any() or born or (not small and whole >= DEAD_WHOLE)):
        return None
    flagged |= dead >= DEAD_FIRST
    worst = float(np.fmax.reduce(dead))
    return Finding(
        "dead_units",
        1.0 if worst == 1 else severe(whole, DEAD_FIRST, certain=record.learned is False, full=0.9),
        sure(max(worst, whole), DEAD_FIRST, full=1.0),
        record.named(flagged),
        _since(record, flagged, 0.9 * float(dead[flagged].min())),
        {"dead_fraction": whole, "dead_fraction_worst_layer": worst, "threshold_layer": needed,
         "threshold_all": DEAD_WHOLE, "counted_on_all_data": int(exact)},
        advised(DEAD_UNITS, record.setting),
        sentence=f"{whole:.0%} of the hidden units answer to no example of "
        f"{'the training set' if exact else 'a batch'}, most in {layers(record.named(flagged))}.",
    )  # fmt: skip


def saturated(record: Record) -> Finding | None:
    """Outputs of a bounded activation at its flat ends, at every logged step of the end of the run."""
    flat = _flat(record)
    if record.diverged or not np.isfinite(flat).any() or not _bounded(record):
        return None
    needed = FLAT if record.learned is False else FLAT_UNKNOWN
    flagged = flat >= needed
    if record.learned:  # it may end up sure of itself: what counts is that it began so, in half of its layers
        flagged &= record.column("saturation")[0] >= needed
        flagged &= flagged.sum() >= 0.5 * np.isfinite(flat).sum()
    if not flagged.any():
        return None
    worst, mean = float(np.fmax.reduce(flat)), float(flat[flagged].mean())
    return Finding(
        "saturated",
        severe(worst, needed, certain=record.learned is False, full=1.0) * (0.5 if record.learned else 1),
        sure(worst, needed, full=1.0),
        record.named(flagged),
        _since_flat(record, flagged, needed),
        {"saturation": mean, "saturation_worst_layer": worst, "threshold": needed},
        advised(SATURATED, record.setting),
        sentence=f"{mean:.0%} of the outputs of {layers(record.named(flagged))} are in "
        "the flat part of the activation, which lets no gradient through.",
    )  # fmt: skip


def _dead(record: Record) -> tuple[Floats, float, bool]:
    """The dead fraction of every layer at the end, that of all, and whether all data was looked at."""
    if record.dead_units is not None and len(record.dead_units.steps):
        last, units = record.dead_units.fraction[-1], record.dead_units.units[-1]
        dead = np.full(len(record.layers), np.nan)
        dead[: len(last)] = last[: len(dead)]
        return dead, float((last * units).sum() / max(1.0, units.sum())), True
    dead = _least(record, record.column("dead_fraction"))
    dead[~record.hidden | record.blank | record.shrunk] = np.nan  # without weights no unit answers
    known = dead[np.isfinite(dead)]
    return dead, float(known.mean()) if known.size else float("nan"), False


def _first_layer(record: Record, dead: Floats, exact: bool, whole: float) -> float:
    """Of the first hidden layer, where deadness is no matter of depth."""
    first = dead[np.isfinite(dead)][0]
    return max(float(first), whole) if exact else float(first)


def _least(record: Record, column: Floats) -> Floats:
    """The least of every layer over the end of the run: what holds at each of its steps."""
    return np.fmin.reduce(column[record.late], axis=0) if record.late.any() else column[-1].copy()


def _since(record: Record, flagged: Mask, level: float) -> int:
    """The first step from which on the flagged layers are at the level."""
    if record.dead_units is not None and len(record.dead_units.steps):
        there = (
            record.dead_units.fraction[:, flagged[: record.dead_units.fraction.shape[1]]].min(axis=1) >= level
        )
        return int(record.dead_units.steps[_onset(there)])
    return _since_flat(record, flagged, level, "dead_fraction")


def _since_flat(record: Record, flagged: Mask, level: float, column: str = "saturation") -> int:
    there = np.fmin.reduce(record.column(column)[:, flagged], axis=1) >= level
    return int(record.steps[_onset(there)])


def _onset(there: Mask) -> int:
    """The place from which on it is there to the end."""
    missing = np.flatnonzero(~there)
    return min(int(missing[-1]) + 1 if missing.size else 0, len(there) - 1)


def _flat(record: Record) -> Floats:
    """The part of each hidden layer's outputs that stays at a flat end of the activation, `(layers,)`."""
    flat = _least(record, record.column("saturation"))
    flat[~record.hidden] = np.nan
    return flat


def _bounded(record: Record) -> bool:
    """Whether the activation is flat on both sides, as run.json or a monitor says; else its outputs tell.

    A flat output of tanh is near -1 or 1, so that the mean square is about the flat part of 1; one of sigmoid
    is near 0 or 1, so that y and y^2 have about the same mean. Those of relu have any size.
    """
    known = record.setting.value("act.bounded")
    if known is not None:
        return bool(known)
    flat = _flat(record)
    chosen = flat >= FLAT_UNKNOWN
    late = record.late
    mean, deviation = (record.column(column)[late][:, chosen] for column in ("act_mean", "act_std"))
    part = record.column("saturation")[late][:, chosen]
    square = mean**2 + deviation**2
    tanh = (square >= (1 - FLAT_SLOPE) * part) & (square <= 1 + 1e-6)
    least = FLAT_SLOPE * STEEPEST * part + STEEPEST * (1 - part)
    sigmoid = (mean > 0) & (mean - square <= least) & (mean - square >= 0) & (mean * (1 - mean) > least)
    return bool(tanh.size and (tanh.all() or sigmoid.all()))
