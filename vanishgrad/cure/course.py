"""How well a run did, step by step, on one scale for all data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from vanishgrad.choices.data import baseline_of
from vanishgrad.choices.loss import BCE
from vanishgrad.data import Dataset
from vanishgrad.diagnosis.layers import by_layer, root_sum_square
from vanishgrad.diagnosis.slope import gradient_slope, log_slope
from vanishgrad.records import TIME_GRADIENTS_FILE, UnreadableRun, read_extra, read_gradients, read_metrics
from vanishgrad.run import Run
from vanishgrad.sweep.job import Outcome

LOST = -1.0  # the gain of a run that diverged or failed
LEARNED = 0.25  # of the ignorant answer's error that is gone: as much as the report calls learning


@dataclass(frozen=True)
class Yardstick:
    """What a run's error is held against: that of an answer that ignores the input.

    The gain of a run is the share of that error which is gone: 0 for ignorance, 1 for no error at all.

    Arguments:
        metric: val_accuracy or val_loss.
        error: of the ignorant answer: 1 - accuracy, or the loss.
    """

    metric: str
    error: float

    def gain(self, accuracy: float, loss: float) -> float:
        """Of an accuracy and a loss, one of which is looked at."""
        value = 1 - accuracy if self.metric == "val_accuracy" else loss
        if not math.isfinite(value) or self.error <= 0:
            return LOST
        return max(LOST, 1 - value / self.error)


def yardstick(run: Run, data: Dataset) -> Yardstick:
    """Of a setting: the published baseline, else the most frequent class, or the mean of values."""
    known, loss = baseline_of(run.data), run.criterion
    if known is not None and known.metric == "val_accuracy":
        return Yardstick(known.metric, 1 - known.value)
    if known is not None and loss.name == run.data.default_loss:
        return Yardstick(known.metric, known.value)
    if data.val_y.is_floating_point():
        return Yardstick("val_loss", float(loss(_constant(run, data), data.val_y)))
    frequent = torch.bincount(data.val_y.flatten()).max() / data.val_y.numel()
    return Yardstick("val_accuracy", 1 - float(frequent))


def _constant(run: Run, data: Dataset) -> Tensor:
    """The mean of the training targets as the answer to every held-out example."""
    mean = data.train_y.mean(0, keepdim=True).expand_as(data.val_y)
    return mean.clamp(1e-6, 1 - 1e-6).logit() if isinstance(run.criterion, BCE) else mean


@dataclass(frozen=True)
class Course:
    """A run of a treatment.

    Arguments:
        status: how it ended.
        steps: at which it was evaluated.
        accuracy, loss: on the held-out data at those steps; NaN where there is none.
        slope: of the first gradients, in decades per layer; of a recurrent network per time step.
        folder: of the run.
    """

    status: str
    steps: tuple[int, ...]
    accuracy: tuple[float, ...]
    loss: tuple[float, ...]
    slope: float
    folder: Path

    def gain(self, yard: Yardstick) -> float:
        """Of the trained network; of one that diverged or failed, all is lost."""
        if self.status != "completed" or not self.steps:
            return LOST
        return yard.gain(self.accuracy[-1], self.loss[-1])

    def learned(self, yard: Yardstick) -> bool:
        return self.gain(yard) >= LEARNED

    def reached(self, yard: Yardstick, threshold: float) -> int | None:
        """The first step that was evaluated with a gain of `threshold`; None where there is none."""
        gains = (yard.gain(a, b) for a, b in zip(self.accuracy, self.loss, strict=True))
        return next((step for step, gain in zip(self.steps, gains, strict=True) if gain >= threshold), None)


def course(folder: Path, outcome: Outcome | None) -> Course:
    """What a run folder and the line of its end tell."""
    status = "failed" if outcome is None else outcome.status
    try:
        rows = read_metrics(folder, ("step", "val_loss", "val_accuracy")).dropna(subset="val_loss")
        slope = _slope(folder, {} if outcome is None else outcome.metrics)
    except UnreadableRun:
        return Course("failed", (), (), (), math.nan, folder)
    steps, accuracy, loss = (rows[name].tolist() for name in ("step", "val_accuracy", "val_loss"))
    return Course(status, tuple(steps), tuple(accuracy), tuple(loss), slope, folder)


def _slope(folder: Path, numbers: Mapping[str, float | None]) -> float:
    """Through time where there is time, else over the layers, at the first step that has one."""
    rows = read_extra(folder, TIME_GRADIENTS_FILE, ("step", "t", "grad_norm"))
    start = rows[rows["step"] == rows["step"].min()]
    if len(start):
        norms = root_sum_square(start["grad_norm"], [start["t"]])
        return log_slope(norms.index, norms)
    found = numbers.get("gradient_slope")
    if found is not None and math.isfinite(found):
        return found
    return _first_slope(by_layer(read_gradients(folder)))


def _first_slope(rows: pd.DataFrame) -> float:
    """What is zero by construction at step 0, as in a block that starts as the identity, does not stay so."""
    slopes = (gradient_slope(at["layer"], at["delta_norm"]) for _, at in rows.groupby("step"))
    return next((slope for slope in slopes if math.isfinite(slope)), math.nan)
