"""One run of a stack: what is seen of its network and written of its steps, from its start to its end."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.choices.model.build import AnyNetwork
from vanishgrad.engine.evaluate import Metrics, Score, evaluate
from vanishgrad.engine.observations import Observations
from vanishgrad.engine.plan import Order, StepPlan, Stopping, save_checkpoint, save_snapshot
from vanishgrad.engine.pretrain import LayerEpoch, pretrain_
from vanishgrad.engine.recorder import Recorder, Result
from vanishgrad.engine.text import evaluate_text, per_character
from vanishgrad.errors import WriteError
from vanishgrad.prediction import predict
from vanishgrad.records import PRETRAIN_FILE, WAIT, Cell, write_diagnosis, write_theory
from vanishgrad.run import Run


@dataclass(frozen=True)
class Progress:
    """The state of a run after a step.

    `loss` is the batch's; `accuracy` (held-out) and `grad_norm` (global, before clipping) are the last known.
    """

    step: int
    total: int
    loss: float
    accuracy: float | None
    grad_norm: float | None


Callback = Callable[[Progress | LayerEpoch], None]
Numbers = Sequence[float | None]


class Session:
    """A run in progress: its evaluations, observations, rows and checkpoints.

    Arguments:
        run: the setting.
        data: its examples.
        device: where it computes.
        recorder: where its rows go.
        callback: called after every step and every epoch of pretraining, if given.
    """

    model: AnyNetwork  # from `prepare` on

    def __init__(
        self, run: Run, data: Dataset, device: torch.device, recorder: Recorder, callback: Callback | None
    ) -> None:
        self.run, self.recorder, self._callback = run, recorder, callback
        self._unscaled, self.data = data, data.to(device, getattr(torch, run.dtype))
        self.observations = Observations(run, self.data, recorder)
        self._lost: LayerEpoch | None = None  # the epoch of pretraining whose loss was not finite
        self.order = Order(run, len(self.data.train_x))
        self.plan = StepPlan.of(run, len(self.data.train_x))
        self._stopped_on: str | None = None  # the finding that shortened the plan
        self._stopping = None if run.stop_on is None else Stopping(run, recorder.record)
        self.metrics = Metrics()

    def prepare(self, model: AnyNetwork) -> None:
        """Take the network with its initial values, and do and see what comes before training."""
        self.model = model
        self.observations.filters("start", model)
        if self.run.pretrain.pretrains:
            pretrain_(model, self.run, self.data.train_x, self._pretrained)
            self.observations.filters("pretrained", model)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where a checkpoint was written."""
        self.order.restore(state["generators"]["order"], state["generators"]["done"])
        self.metrics.restore(state["metrics"])
        if self._stopping is not None and self.recorder.folder is not None:
            self._stopping.restore(self.recorder.folder, state["step"])
            self._shorten(state["step"])

    def open(self) -> None:
        """Note what is known before the first step, and what theory says of the network."""
        self.recorder.update(parameters=sum(parameter.numel() for parameter in self.model.parameters()))
        if self.recorder.folder is not None:
            write_theory(self.recorder.folder, predict(self.run, self._unscaled))

    def look(self, step: int, score: Score | None = None) -> Score | None:
        """Look at the network as it is before a step, when it is due.

        The evaluation comes back: `score`, if somebody has made it already.
        """
        self.observations.before(step, step == self.plan.total, self.model)
        score = (score or self._evaluate()) if self.plan.evaluated(step) else None
        if score:
            self.observations.evaluated(step, self.model)
        if step in self.plan.snapshots and self.recorder.folder is not None:
            save_snapshot(self.recorder.folder, step, self.model)
        return score

    def log(self, rows: Sequence[Sequence[Cell]], extra: Mapping[str, Sequence[Sequence[Cell]]]) -> None:
        """Write the rows of a logged step: of gradients.csv, and of the tables that not every run has."""
        self.recorder.append(extra)
        self.recorder.gradients.append(rows)
        if self._stopping is not None:
            self._stopping.gradients(rows, extra)

    def record(self, step: int, lr: float, numbers: Numbers, score: Score | None) -> None:
        """Write the metrics of a step.

        Arguments:
            step: its number.
            lr: its learning rate.
            numbers: training loss and accuracy, penalty, global gradient norm before and after clipping.
            score: on the held-out data, where it is known.
        """
        train_loss, train_accuracy, penalty, before, after = numbers
        val_loss, val_accuracy = score or (None, None)
        self.metrics.trained(
            step=step, train_loss=train_loss, train_accuracy=train_accuracy, grad_norm=before
        )
        if score:
            nats = self.run.data.running_text and self.run.criterion.classes
            self.metrics.evaluated(score, per_character(score[0]) if nats else {})
        self.recorder.note(metrics=self.metrics.summary)
        row = (
            step, self.plan.epoch(step), lr, train_loss, train_accuracy, val_loss, val_accuracy, penalty,
            before, after, self.recorder.seconds,
        )  # fmt: skip
        self.recorder.metrics.append([row])
        if self._stopping is not None:
            self._stopping.metrics(row)
            self._shorten(step + 1)

    def diverge(self, step: int, lr: float, numbers: Numbers) -> None:
        """Write the metrics of the step at which a number stopped being finite."""
        self.record(step, lr, numbers, self._evaluate())

    @property
    def lost_in_pretraining(self) -> dict[str, Any] | None:
        """Where pretraining stopped being finite, if it did."""
        if self._lost is None:
            return None
        return {"step": 0, "layer": self._lost.layer, "epoch": self._lost.epoch, "what": "pretraining_loss"}

    def after(self, step: int, loss: Tensor) -> None:
        """Tell the callback of a step that is done, with the batch's loss."""
        self.recorder.flush(WAIT)
        if self._callback is not None:
            last = self.metrics.last
            accuracy, grad_norm = last.get("val_accuracy"), last.get("grad_norm")
            self._callback(Progress(step, self.plan.total, float(loss), accuracy, grad_norm))

    def checkpoint(self, step: int, done: int, state: dict[str, Any]) -> None:
        """Keep all that it takes to go on with `step`, which comes after so many batches of its epoch.

        `state` is that of the network and the optimizer.
        """
        if self.recorder.folder is not None:
            self.recorder.flush()  # what is to be resumed needs the rows before
            save_checkpoint(self.recorder.folder, {
                "step": step, **state, "generators": {"order": self.order.epoch, "done": done},
                "metrics": self.metrics.state, **self.observations.remembered,
            })  # fmt: skip

    def close(self, step: int, diverged_at: dict[str, Any] | None, state: dict[str, Any]) -> Result:
        """Leave what a run leaves behind after so many updates."""
        status = "diverged" if diverged_at else "completed"
        seconds = self.recorder.seconds
        self.recorder.flush()
        self.checkpoint(step, step % self.plan.per_epoch, state)
        self.observations.finish(self.model)
        self.recorder.note(
            steps=step, seconds=seconds, diverged_at=diverged_at, metrics=self.metrics.summary,
            stopped_on=None if diverged_at else self._stopped_on,
        )  # fmt: skip
        result = Result(
            self.run, status, step, seconds, diverged_at, self.metrics.last, self.metrics.best,
            self.recorder.read_back(), self.model, self.recorder.folder,
        )  # fmt: skip
        if self.recorder.folder is not None:
            write_diagnosis(self.recorder.folder, result.diagnosis)
        self.recorder.update(status=status)  # last of all: a run that has ended lacks nothing
        return result

    def fail(self, error: WriteError) -> Result:
        """Leave what there is of a run whose files cannot be written any more."""
        self.recorder.fail(error)
        steps = int(self.recorder.record["steps"])
        return Result(
            self.run, "failed", steps, self.recorder.seconds, None, self.metrics.last, self.metrics.best,
            self.recorder.read_back(), self.model, self.recorder.folder, str(error),
        )  # fmt: skip

    def _pretrained(self, done: LayerEpoch) -> None:
        if not math.isfinite(done.loss):
            self._lost = done
        self.recorder.append({PRETRAIN_FILE: [(done.layer, done.epoch, done.loss)]})
        if self._callback is not None:
            self._callback(done)

    def _evaluate(self) -> Score:
        model, loss, data = self.model, self.run.criterion, self.data
        if self.run.data.running_text:
            return evaluate_text(model, loss, data.val_x, data.val_y, self.run.data.shape[0])
        return evaluate(model, loss, data.val_x, data.val_y)

    def _shorten(self, last: int) -> None:
        """Let the step `last` be the last if something was found that ends the run."""
        finding = None if self._stopping is None else self._stopping.finding
        if finding is not None and last < self.plan.total:
            self.plan = replace(self.plan, total=last)
            self._stopped_on = finding.finding
