"""What the course of training tells: layers that stand still, a loss that goes up and down, no progress."""

from __future__ import annotations

import numpy as np

from vanishgrad.diagnosis.advice import NOT_LEARNING, OSCILLATING, STALLED, advised
from vanishgrad.diagnosis.finding import Evidence, Finding, counted, layers, severe, small, sure
from vanishgrad.diagnosis.layers import Floats
from vanishgrad.diagnosis.record import Record

STALLED_DRIFT = 0.01  # of its first weights: a layer that went less far has not been trained
BEHIND = 30.0  # times further the layer that went furthest
FEWEST_LOSSES = 8  # logged, after the beginning of the run
SWING = 0.25  # of the loss in the middle: less may be the difference between batches
SWUNG = 0.01  # of the weights at a step, or far from where they began: less explains no swing
UP, UPS = 0.05, 0.2  # of the loss in the middle; of the changes from one logged loss to the next
PROGRESS = 0.1  # of the error, or of the loss: less is none


def stalled_layers(record: Record) -> Finding | None:
    """The first layers keep their initial weights while others move: training went on without them."""
    drift = np.where(record.trained, record.drift, np.nan)
    pretrained = record.setting.value("pretrain") not in (None, "none")
    if record.diverged or not record.enough or pretrained or not np.isfinite(drift).any():
        return None
    furthest = float(np.fmax.reduce(drift))
    still = (drift < STALLED_DRIFT) & (drift * BEHIND < furthest) & record.hidden
    if (
        not still.any()
        or not (still | ~record.early)[record.flowing | still].all()
        or furthest < STALLED_DRIFT
    ):
        return None
    ratio = furthest / max(float(np.median(drift[still])), 1e-300)
    return Finding(
        "stalled_layers",
        severe(float(np.log10(ratio)), float(np.log10(BEHIND)), certain=record.learned is False)
        * (0.6 if record.learned else 1.0),
        sure(float(np.log10(ratio)), float(np.log10(BEHIND))),
        record.named(still),
        int(record.steps[0]),
        {"drift": float(np.median(drift[still])), "furthest_drift": furthest, "threshold_ratio": BEHIND,
         "threshold_drift": STALLED_DRIFT},
        advised(STALLED, record.setting),
        sentence=f"After {counted(int(record.steps[-1]), 'step')} {layers(record.named(still))} moved by "
        f"{small(float(np.median(drift[still])))} of the initial weights, the layer that moved furthest by "
        f"{small(furthest)}.",
    )  # fmt: skip


def oscillating(record: Record) -> Finding | None:
    """The loss swings up and down at the end of the run and gets nowhere, because the steps are long.

    Where the accuracy says that it learned, only a loss above that of the start counts.
    """
    loss = record.metric("train_loss")
    loss = loss[~np.isnan(loss)]
    first, loss = loss[:1], loss[len(loss) // 3 :]
    if record.diverged or len(loss) < FEWEST_LOSSES or not np.isfinite(loss).all():
        return None
    middle = float(np.median(loss))
    worse = bool(middle > first)
    if not (_carried(record) or (worse and not record.updated)) or (record.learned and not worse):
        return None
    swing, ups = _swing(loss, middle), float((np.diff(loss) > UP * abs(middle)).mean())
    half = len(loss) // 2
    falling = bool(np.median(loss[half:]) < (1 - SWING) * np.median(loss[:half]))
    if swing < SWING or ups < UPS or (falling and not worse):
        return None
    return Finding(
        "oscillating",
        severe(swing, SWING, certain=record.learned is False, full=1.0),
        sure(swing, SWING, full=3 * SWING),
        (),
        int(record.metric("step")[len(record.metric("step")) // 3]),
        {"swing": swing, "ups": ups, "loss_median": middle, "threshold_swing": SWING},
        advised(OSCILLATING, record.setting),
        sentence=f"The loss swings by {swing:.0%} of its middle, {middle:.3g}, up at {ups:.0%} of the logged "
        "steps, and does not fall.",
    )


def _swing(loss: Floats, middle: float) -> float:
    """From a low to a high, relative to the middle; but for the tenth that is furthest out."""
    low, high = np.quantile(loss, [0.1, 0.9])
    return float(high - low) / abs(middle) if middle else 0.0


def not_learning(record: Record) -> Finding | None:
    """It was trained long enough and achieved next to nothing."""
    if record.diverged or record.learned is not False or not record.progress < PROGRESS:
        return None
    ratio = _update_ratio(record)
    weights = record.column("weight_norm")
    first, last = (
        np.fmax.reduce(weights[0], initial=0.0),
        np.fmax.reduce(weights[record.late][-1], initial=0.0),
    )
    kept = float(last / first) if first > 0 else float("nan")
    no_signal = bool(record.signal.size and (record.signal == 0).all())
    loss = record.ends["loss"]
    evidence: Evidence = {
        "progress": record.progress, "threshold_progress": PROGRESS, "update_ratio": ratio,
        "loss_first": loss[0], "loss_last": loss[1], "weights_kept": kept, "gradient_is_zero": int(no_signal),
    }  # fmt: skip
    return Finding(
        "not_learning",
        1.0,
        sure(PROGRESS - record.progress, 0.0, full=PROGRESS),
        (),
        0,
        evidence,
        advised(NOT_LEARNING, record.setting),
        sentence=f"After {counted(int(record.steps[-1]), 'step')} the loss is {loss[1]:.3g}, at first it was "
        f"{loss[0]:.3g}; {_why(ratio, kept, no_signal)}.",
    )


def _carried(record: Record) -> bool:
    """Whether the steps are long: a small network swings from batch to batch without moving."""
    return record.thrown or _update_ratio(record) >= SWUNG


def _update_ratio(record: Record) -> float:
    """By what part a step changes the weights, in the middle of all layers and steps; NaN where not known."""
    updates = record.column("update_ratio")
    known = updates[np.isfinite(updates)]
    return float(np.median(known)) if known.size else float("nan")


def _why(ratio: float, kept: float, no_signal: bool) -> str:
    if no_signal:
        return "every hidden layer's gradient is exactly 0"
    if kept < 0.5:
        return f"the weights have shrunk to {small(kept)} of what they were"
    if ratio < 1e-4:
        return f"a step changes the weights by {small(ratio)}, which is too little to get anywhere"
    return "gradients reach every layer, so that the cause is not their size"
