"""Whether training achieved something, from ratios alone: no loss is large or small in itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite, nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vanishgrad.diagnosis.layers import MEASURED, Floats, Ints, fitted_falls
from vanishgrad.records import Baseline, answers_of_0_1
from vanishgrad.remedies import lookup

ERROR_LEFT = 0.75
LOSS_LEFT = 0.5
TAIL = 10  # the last of so many parts of the rows: a single batch is no measure of a network
Ends = tuple[float, float]
UNKNOWN: Ends = (nan, nan)


def has_learned(accuracy: Ends, loss: Ends, error: Ends = UNKNOWN) -> bool | None:
    """Whether training achieved something; None when nothing of it was measured.

    Where it is known what an answer that ignores the input loses, the error is a quarter or more below that;
    else the error rate fell by a quarter or more; without accuracies the loss fell to half.

    Arguments:
        accuracy: first and last.
        loss: first and last.
        error: of an answer that ignores the input, and the one reached.
    """
    if all(map(isfinite, error)):
        ignorance, left = error
        return left <= ERROR_LEFT * ignorance and left < ignorance
    if all(map(isfinite, accuracy)):
        first, last = accuracy
        return last > first and 1 - last <= ERROR_LEFT * (1 - first)
    if all(map(isfinite, loss)):
        first, last = loss
        return last <= LOSS_LEFT * first
    return None


def progress(accuracy: Ends, loss: Ends, error: Ends = UNKNOWN) -> float:
    """The part of what could be lost that training took away: of the error, else of the loss."""
    pairs = (error, (1 - accuracy[0], 1 - accuracy[1]), loss)
    for first, last in pairs:
        if isfinite(first) and isfinite(last) and first > 0:
            return 1 - last / first
    return nan


def tail(values: Floats, first: bool = False) -> float:
    """The mean of the last tenth of what is known, or the first of it; NaN where nothing is."""
    known = values[~np.isnan(values)]
    if not known.size:
        return nan
    return float(known[0]) if first else float(known[-max(1, known.size // TAIL) :].mean())


@dataclass(frozen=True)
class RecordedSetting:
    """A setting as run.json has it.

    Arguments:
        plain: its data, under `effective`; empty where nothing is known.
        answers: what its choices say of themselves, such as `act.bounded`; a monitor measures it.
        fitting: the remedies that its run was found to accept; None for a model of somebody else's, and for
            a folder of a version that did not ask.
    """

    plain: Mapping[str, Any] = field(default_factory=dict)
    answers: Mapping[str, bool] = field(default_factory=dict)
    fitting: Collection[str] | None = None

    def value(self, key: str) -> Any:
        """Of `act` the name, of `act.slope` a parameter, of `act.bounded` an answer; None if not known."""
        return lookup(self.plain, self.answers or answers_of_0_1(self.plain))(key)

    def number(self, key: str) -> float:
        """A number of the setting; NaN where it is not known, or no number."""
        value = self.value(key)
        known = isinstance(value, int | float) and not isinstance(value, bool)
        return float(value) if known else nan


FEW_STEPS, FEW_EPOCHS = 200, 3  # below both, that a run has not learned says nothing about it
LATE = 3  # the last of so many parts of a run
FROZEN = 3.0  # decades below the others from which an exact 0 of a change may be one of rounding
MOVING = 1e-3  # of its first weights: where no layer goes so far, one that stands still is not frozen
SHRUNK = 0.1  # of its first weights: what is left of a layer that a penalty has pulled to 0
THROWN = 5.0  # times its first weights: a layer that went so far has lost what it began as
Mask = NDArray[np.bool_]


class ThroughTime(NamedTuple):
    """Decades by which the gradient of a recurrent state shrinks from the last time step to the first.

    `steps` (logged,), `falls` of the state and `cells` of the LSTM's cell, NaN where there is none; `length`
    in time steps.
    """

    steps: Ints
    falls: Floats
    cells: Floats
    length: int


class DeadUnits(NamedTuple):
    """Units without a slope on all training examples: `steps` (counts,), the others (counts, layers)."""

    steps: Ints
    fraction: Floats
    units: Floats


@dataclass(frozen=True, eq=False)
class Record:
    """A run as its rules see it.

    Arguments:
        steps: the logged ones, `(steps,)`.
        layers: from the input, `(layers,)`; the last one is the output.
        measured: `(steps, layers, columns)`, columns as in `MEASURED`; NaN where a figure does not exist.
        metrics: columns of metrics.csv by name, `(rows,)` each; empty where nothing is known.
        setting: what was trained.
        status: as in run.json; `diverged` tells what the rows may not.
        diverged_at: as in run.json.
        baseline: what ignorance scores, where that is known.
        through_time: for recurrent networks.
        dead_units: where they were counted on all training examples.
    """

    steps: Ints
    layers: Ints
    measured: Floats
    metrics: Mapping[str, Floats] = field(default_factory=dict)
    setting: RecordedSetting = field(default_factory=RecordedSetting)
    status: str = "completed"
    diverged_at: Mapping[str, Any] | None = None
    baseline: Baseline | None = None
    through_time: ThroughTime | None = None
    dead_units: DeadUnits | None = None

    def column(self, name: str) -> Floats:
        """`(steps, layers)`."""
        return self.measured[:, :, MEASURED.index(name)]

    def metric(self, name: str) -> Floats:
        """A column of metrics.csv; empty where it is not there."""
        return self.metrics.get(name, np.empty(0))

    @cached_property
    def lost(self) -> Mask:
        """Where a figure is infinite, or no number but one at other steps, `(steps, layers, columns)`.

        An empty field and `nan` read back alike. What is missing here and there belongs to a layer that was
        not used; NaN reaches every gradient of its step.
        """
        finite: Mask = np.isfinite(self.measured)
        seen: Mask = np.logical_or.reduce(finite)
        gradients = MEASURED.index("grad_norm")
        no_gradient = ~np.logical_or.reduce(finite[:, :, gradients], axis=1) & seen[:, gradients].any()
        broken: Mask = (no_gradient | (self.status == "diverged"))[:, None, None]
        missing: Mask = ~finite & seen & broken
        missing[:, :, MEASURED.index("update_ratio")] = False  # there is none at a step that changes nothing
        mask: Mask = np.logical_or(missing, np.isinf(self.measured))
        return mask

    @cached_property
    def sound(self) -> Mask:
        """The logged steps at which every figure is a number, `(steps,)`."""
        mask: Mask = ~np.logical_or.reduce(self.lost, axis=(1, 2))
        return mask

    @cached_property
    def diverged(self) -> bool:
        """Whether something stopped being finite, in the tables or as run.json says."""
        loss = self.metric("train_loss")
        known = np.flatnonzero(np.isfinite(loss))
        lost = np.isinf(loss).any() or (known.size and np.isnan(loss[known[-1] + 1 :]).any())
        nothing = not np.isfinite(self.column("grad_norm")).any() and not np.isfinite(self.signal).any()
        return bool(self.status == "diverged" or self.lost.any() or lost or nothing)

    @cached_property
    def hidden(self) -> Mask:
        """The layers below the output, `(layers,)`."""
        return self.layers < self.layers.max()

    @cached_property
    def signal_name(self) -> str:
        """delta_norm, or grad_norm where only that was measured."""
        delta = self.measured[:, :, MEASURED.index("delta_norm")]
        return "delta_norm" if np.isfinite(delta).any() else "grad_norm"

    @cached_property
    def flowing(self) -> Mask:
        """The hidden layers that are trained, `(layers,)`."""
        return self.hidden & self.trained

    @cached_property
    def signal(self) -> Floats:
        """What travels backwards, in the hidden layers that are trained, `(steps, flowing)`."""
        return self.column(self.signal_name)[:, self.flowing]

    @cached_property
    def falls(self) -> Floats:
        """Decades by which the signal shrinks from the last hidden layer to the first, `(steps,)`.

        NaN at a step with fewer than two layers whose signal is neither 0 nor infinite.
        """
        return fitted_falls(self.layers[self.flowing], self.signal)

    @cached_property
    def blank(self) -> Mask:
        """The layers whose weights start at exactly 0, `(layers,)`: what follows is by construction."""
        mask: Mask = self.column("weight_norm")[0] == 0
        return mask

    @cached_property
    def shrunk(self) -> Mask:
        """The layers whose weights have shrunk to next to nothing, `(layers,)`."""
        weights = self.column("weight_norm")
        late = np.fmin.reduce(weights[self.late]) if self.late.any() else weights[0]
        mask: Mask = late < SHRUNK * weights[0]
        return mask

    @cached_property
    def thrown(self) -> bool:
        """Whether the steps carried the hidden layers far away from where they began."""
        drift = self.drift[self.flowing]
        return bool(np.fmax.reduce(drift, initial=0.0) >= THROWN)

    @property
    def updated(self) -> bool:
        """Whether it was measured how far the weights moved."""
        return bool(np.isfinite(self.column("update_ratio")).any())

    @property
    def span(self) -> float:
        """Layers from the first hidden one to the last; at least 1."""
        return max(1.0, float(np.ptp(self.layers[self.flowing]))) if self.flowing.any() else 1.0

    @cached_property
    def trained(self) -> Mask:
        """The layers that training may change, `(layers,)`: frozen ones say nothing.

        A layer is frozen when it has no gradient, or when it does not move at all although its gradient is
        not so small that the change is rounded away.
        """
        gradient, drift = self.column("grad_norm"), self.column("weight_drift")
        known = np.isfinite(gradient).any(axis=0)
        still = (np.nan_to_num(drift) == 0).all(axis=0)
        still &= bool(np.fmax.reduce(drift, axis=None, initial=0.0) >= MOVING)
        level = np.fmax.reduce(gradient, axis=0)
        largest = np.fmax.reduce(level, initial=0.0)
        if not known.any():
            return np.ones(len(self.layers), dtype=bool)
        with np.errstate(divide="ignore", invalid="ignore"):
            small = ~(np.log10(largest / level) < FROZEN)
        return known & ~(still & ~small)

    @cached_property
    def late(self) -> Mask:
        """The sound steps of the last third of the run, `(steps,)`, or of all of it where there is none."""
        chosen = np.zeros(len(self.steps), dtype=bool)
        chosen[-max(1, len(self.steps) // LATE) :] = True
        chosen &= self.sound
        return chosen if chosen.any() else self.sound

    @cached_property
    def drift(self) -> Floats:
        """How far the weights of each layer have gone at the end, relative to the first, `(layers,)`."""
        drift = self.column("weight_drift")[self.sound]
        known = np.isfinite(drift).any(axis=1)
        return drift[known][-1] if known.any() else np.full(len(self.layers), np.nan)

    @cached_property
    def early(self) -> Mask:
        """The first third of the trained hidden layers, `(layers,)`."""
        places = np.flatnonzero(self.flowing)
        chosen = np.zeros(len(self.layers), dtype=bool)
        chosen[places[: max(1, len(places) // 3)]] = True
        return chosen

    @property
    def early_drift(self) -> float:
        """Of the first third of the hidden layers, in the middle; NaN where it is not known."""
        drift = self.drift[self.early]
        known = drift[np.isfinite(drift)]
        return float(np.median(known)) if known.size else float("nan")

    @cached_property
    def enough(self) -> bool:
        """Whether it was trained long enough that not having learned says something."""
        epochs = np.fmax.reduce(self.metric("epoch"), initial=0.0)
        return bool(self.steps[-1] >= FEW_STEPS or epochs >= FEW_EPOCHS)

    @cached_property
    def ends(self) -> dict[str, tuple[float, float]]:
        """The first and the last of what was measured of the loss and the accuracy, NaN for what was not."""
        return {name: (self._first(name), self._last(name)) for name in ("loss", "accuracy")}

    def _first(self, name: str) -> float:
        """On the held-out data, of which it says more than a batch, if it was measured again later."""
        held_out = self.metric(f"val_{name}")
        known = held_out[~np.isnan(held_out)]
        return float(known[0]) if known.size > 1 else tail(self.metric(f"train_{name}"), first=True)

    def _last(self, name: str) -> float:
        held_out = self.metric(f"val_{name}")
        known = held_out[~np.isnan(held_out)]
        return float(known[-1]) if known.size else tail(self.metric(f"train_{name}"))

    @cached_property
    def error(self) -> tuple[float, float]:
        """What an answer that ignores the input loses, and what is lost at the end; NaN where not known."""
        if self.baseline is None or not self.metric(self.baseline.metric).size:
            return float("nan"), float("nan")
        reached = self._last(self.baseline.metric.removeprefix("val_"))
        if self.baseline.metric.endswith("accuracy"):
            return 1 - self.baseline.value, 1 - reached
        return self.baseline.value, reached

    @cached_property
    def learned(self) -> bool | None:
        """Whether training achieved something; None where nothing tells, or where it is too early to say."""
        learned = has_learned(self.ends["accuracy"], self.ends["loss"], self.error)
        return None if learned is False and not self.enough else learned

    @cached_property
    def progress(self) -> float:
        """The part of the error, or of the loss, that training took away; NaN where nothing tells."""
        return progress(self.ends["accuracy"], self.ends["loss"], self.error)

    def at(self, chosen: Mask) -> int:
        """The first logged step of those chosen, `(steps,)`."""
        places = np.flatnonzero(chosen)
        return int(self.steps[places[0]]) if places.size else int(self.steps[0])

    def named(self, chosen: Mask) -> tuple[int, ...]:
        """The numbers of the layers chosen, `(layers,)`."""
        return tuple(int(layer) for layer in self.layers[chosen])
