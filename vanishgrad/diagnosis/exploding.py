"""The backward signal grows on its way, or from step to step; the run stopped being finite."""

from __future__ import annotations

import numpy as np

from vanishgrad.diagnosis.advice import DIVERGED, EXPLODING, EXPLODING_IN_TIME, advised
from vanishgrad.diagnosis.finding import QUANTITIES, Evidence, Finding, counted, factor, severe, sure
from vanishgrad.diagnosis.layers import BACKWARD, MEASURED, Floats, first_nonfinite_place, steady_fall
from vanishgrad.diagnosis.record import Mask, Record

DECADES = 2.0  # in a network that is known not to learn, or that diverged
DECADES_UNKNOWN = 3.0
STEADY = 0.25  # of the growth: that of a single layer among the others is none
GROWTH, LOSS_GROWTH = 1e3, 2.0  # over the steps, of the gradient and of the loss


def exploding(record: Record) -> Finding | None:
    """Towards the input the signal grows and training achieves nothing, or numbers left the finite range."""
    if record.learned and not record.diverged:
        return None
    return _towards_the_input(record) or _over_the_steps(record) or _not_finite(record)


def exploding_in_time(record: Record) -> Finding | None:
    """From the last time step of a recurrent network to the first the gradient of the state grows."""
    through = record.through_time
    if through is None or (record.learned and not record.diverged):
        return None
    growths = -through.falls
    known = np.isfinite(growths)
    if not known.any() or (most := float(np.median(growths[known]))) < DECADES_UNKNOWN:
        return None
    return Finding(
        "exploding",
        1.0 if record.diverged else severe(most, DECADES_UNKNOWN, certain=record.learned is False),
        sure(most, DECADES_UNKNOWN),
        record.named(record.hidden),
        int(through.steps[known & (growths >= DECADES_UNKNOWN)][0]),
        {"decades": most, "time_steps": through.length, "threshold_decades": DECADES_UNKNOWN},
        advised(EXPLODING_IN_TIME, record.setting),
        where="time",
        sentence=f"The gradient of the state grows {factor(most / max(1, through.length - 1))} per time step "
        f"on its way back, by {most:.1f} decades over {through.length} time steps.",
    )


def diverged(record: Record) -> Finding | None:
    """Something is no longer a finite number: the first step, and the layer where it began."""
    if not record.diverged:
        return None
    at = dict(record.diverged_at or {})
    lost = _first_lost(record)
    if at.get("what") == "pretraining_loss":
        return _in_pretraining(record, int(at["layer"]), int(at["epoch"]))
    step = int(at.get("step", lost[0]))
    layer, what = at.get("layer", lost[1]), str(at.get("what", lost[2]))
    quantity = QUANTITIES.get(what, what.replace("_", " "))
    evidence: Evidence = {"step": step, "layer": int(layer or 0), "quantity": what}
    where = f" of layer {layer}" if layer and what != "loss" else ""
    return Finding(
        "diverged", 1.0, 1.0, (int(layer),) if layer else (), step, evidence,
        advised(DIVERGED, record.setting),
        sentence=f"At step {step} the {quantity}{where} stopped being finite.",
    )  # fmt: skip


def _in_pretraining(record: Record, layer: int, epoch: int) -> Finding:
    return Finding(
        "diverged", 1.0, 1.0, (layer,), 0, {"layer": layer, "epoch": epoch, "quantity": "pretraining loss"},
        advised(DIVERGED, record.setting),
        sentence=f"In pretraining, at epoch {epoch}, the loss of layer {layer} stopped being finite; "
        "a smaller pretrain.lr keeps it.",
    )  # fmt: skip


def _towards_the_input(record: Record) -> Finding | None:
    needed = DECADES if record.diverged or record.learned is False else DECADES_UNKNOWN
    most, place = _growth(record)
    if most < needed or _steady(record, place) < STEADY * needed:
        return None
    per_layer = most / record.span
    return Finding(
        "exploding",
        1.0 if record.diverged else severe(most, needed, certain=record.learned is False),
        sure(most, needed),
        record.named(record.flowing),
        record.at(-record.falls >= needed),
        {
            "decades": most,
            "decades_per_layer": per_layer,
            "threshold_decades": needed,
            "quantity": record.signal_name,
        },
        advised(EXPLODING, record.setting),
        sentence=f"The gradient grows {factor(per_layer)} per layer on its way to the input, by {most:.1f} "
        f"decades over {counted(int(record.flowing.sum()), 'hidden layer')}.",
    )


def _growth(record: Record) -> tuple[float, int]:
    """Decades by which the signal grows towards the input, and a place among the logged steps that shows it.

    Of the end of the run. Where it failed, of the start too: what exploded then may have saturated since; and
    a run that blew up shows its shape just before it ends.
    """
    known = np.flatnonzero(np.isfinite(record.falls))
    if not known.size:
        return 0.0, 0
    late = known[record.late[known]] if not record.diverged else known[-1:]
    places = [int(late[late.size // 2])] if late.size else []
    growths = [-float(np.median(record.falls[late]))] if late.size else []
    if record.diverged or record.learned is False or not late.size:
        places.append(int(known[0]))
        growths.append(-float(record.falls[known[0]]))
    most = int(np.argmax(growths))
    return growths[most], places[most]


def _steady(record: Record, place: int) -> float:
    return -steady_fall(record.layers[record.flowing], record.signal[place])


def _over_the_steps(record: Record) -> Finding | None:
    """The whole gradient grows from step to step, and the loss with it."""
    size = _global_norm(record)
    known = np.isfinite(size) & (size > 0)
    if known.sum() < 2:
        return None
    growth = size[known] / float(np.median(size[known][: max(1, int(known.sum()) // 10)]))
    worse = _loss_growth(record)
    if growth[-1] < GROWTH or not worse >= LOSS_GROWTH:
        return None
    return Finding(
        "exploding", 1.0, sure(float(np.log10(growth[-1])), float(np.log10(GROWTH))),
        record.named(record.trained), int(record.steps[known][growth >= GROWTH][0]),
        {"growth_over_steps": float(growth[-1]), "loss_growth": worse, "threshold_growth": GROWTH},
        advised(EXPLODING, record.setting),
        sentence=f"The gradient is {growth[-1]:.2g} times what it was at first, the loss {worse:.2g} times.",
    )  # fmt: skip


def _not_finite(record: Record) -> Finding | None:
    """Gradients are infinite or no numbers: exploded, whatever their slope was before."""
    backward = [MEASURED.index(name) for name in BACKWARD]
    lost: Mask = np.logical_or.reduce(record.lost[:, :, backward], axis=2)
    if not record.diverged or not lost.any():
        return None
    steps: Mask = np.logical_or.reduce(lost, axis=1)
    at_once = bool(steps[0])
    return Finding(
        "exploding", 1.0 if at_once else 0.95, 0.9 if at_once else 0.6,
        record.named(lost[np.flatnonzero(steps)[0]]), record.at(steps),
        {"layers_not_finite": int(lost[np.flatnonzero(steps)[0]].sum()), "at_once": int(at_once)},
        advised(EXPLODING, record.setting),
        sentence=f"At step {record.at(steps)} gradients are infinite or no numbers"
        + (", before any training." if at_once else "."),
    )  # fmt: skip


def _global_norm(record: Record) -> Floats:
    """Of the weights' gradients, `(steps,)`."""
    gradient = record.column("grad_norm")
    largest = np.fmax.reduce(gradient, axis=1)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        parts = np.nan_to_num(gradient / largest[:, None], nan=0.0, posinf=1.0)
        return largest * np.sqrt((parts**2).sum(axis=1))


def _loss_growth(record: Record) -> float:
    """The last loss over the first; that of the weights where no loss is known."""
    first, last = record.ends["loss"]
    if np.isfinite(first) and first > 0:
        return last / first
    weights = np.fmax.reduce(record.column("weight_norm"), axis=1, initial=0.0)
    return float(weights[-1] / weights[0]) if weights[0] > 0 else float("nan")


def _first_lost(record: Record) -> tuple[int, int, str]:
    """Step, layer (0: none) and quantity."""
    for place in np.flatnonzero(record.lost.any(axis=(1, 2))):
        if first := first_nonfinite_place(record.lost[place]):
            return int(record.steps[place]), int(record.layers[first[0]]), first[1]
    return int(record.steps[-1]), 0, "loss"
