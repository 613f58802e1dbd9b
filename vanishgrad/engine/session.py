"""What a run tells while it goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from vanishgrad.choices.clipping import NoClip
from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.choices.model.build import AnyNetwork
from vanishgrad.engine.evaluate import Metrics, Score, accuracy, checked_accuracy, evaluate
from vanishgrad.engine.observations import Observations
from vanishgrad.engine.plan import Batch, Order, StepPlan, Stopping, batches, save_checkpoint, save_snapshot
from vanishgrad.engine.pretrain import LayerEpoch, pretrain_
from vanishgrad.engine.recorder import Recorder, Result
from vanishgrad.engine.text import evaluate_text, per_character
from vanishgrad.engine.trainer import BatchPass, Trainer
from vanishgrad.engine.update import rate_at
from vanishgrad.modules.dropout import unchanged
from vanishgrad.modules.norms import total_norm
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


class Session:
    """A run in progress.

    Arguments:
        run: the setting.
        data: its examples.
        device: where it computes.
        recorder: where its rows go.
        observe: called after every step, if given.
        place: moves the network's initial values to where they are to lie, if given.
    """

    def __init__(
        self, run: Run, data: Dataset, device: torch.device, recorder: Recorder, observe: Callback | None,
        place: Callable[[AnyNetwork], None] | None = None,
    ) -> None:  # fmt: skip
        self.run, self.recorder, self.observe, self._place = run, recorder, observe, place
        self._given, self.data = data, data.to(device, getattr(torch, run.dtype))
        self.observations = Observations(run, self.data, recorder)
        self._lost: LayerEpoch | None = None  # the epoch of pretraining whose loss was not finite
        self.trainer = Trainer(run, device, self._prepare)
        self.order = Order(run, len(self.data.train_x))
        self.plan = StepPlan.of(run, len(self.data.train_x))
        self._planned = self.plan.total  # before anything shortens the plan
        self._stopped_on: str | None = None  # the finding that shortened the plan
        self._stopping = None if run.stop_on is None else Stopping(run, recorder.record)
        self.metrics = Metrics()
        self._begin = 0  # the step that comes first
        self._done = 0  # batches of its epoch that come before it
        self._next: tuple[int, int] | None = None  # the same two of the next step, while none is under way

    def restore(self, state: dict[str, Any]) -> None:
        """Begin where a checkpoint was written."""
        self._begin, self._done = state["step"], state["generators"]["done"]
        self.trainer.restore(state)
        self.order.restore(state["generators"]["order"], self._done)
        self.metrics.restore(state["metrics"])
        if self._stopping is not None and self.recorder.folder is not None:
            self._stopping.restore(self.recorder.folder, self._begin)
            self._shorten(self._begin)

    def finish(self) -> Result:
        """Do all steps, or as many as stay finite, and close the record."""
        self.open()
        try:
            step, diverged_at = self._steps()
        except KeyboardInterrupt:
            if self._next is not None:
                self._checkpoint(*self._next)
            raise
        return self.close(step, diverged_at)

    def open(self) -> None:
        """Note what is known before the first step, and what theory says of the network."""
        parameters = sum(parameter.numel() for parameter in self.trainer.parameters)
        self.recorder.update(parameters=parameters)
        if self.recorder.folder is not None:
            write_theory(self.recorder.folder, predict(self.run, self._given))

    def close(self, step: int, diverged_at: dict[str, Any] | None) -> Result:
        """Leave what a run leaves behind after so many updates."""
        status = "diverged" if diverged_at else "completed"
        seconds = self.recorder.seconds
        self.recorder.flush()
        self._checkpoint(step, step % self.plan.per_epoch)
        self.observations.finish(self.trainer.model)
        self.recorder.note(
            steps=step, seconds=seconds, diverged_at=diverged_at, metrics=self.metrics.summary,
            stopped_on=None if diverged_at else self._stopped_on,
        )  # fmt: skip
        gradients, metrics = self.recorder.frames()
        result = Result(
            self.run, status, step, seconds, diverged_at, self.metrics.last, self.metrics.best, gradients,
            metrics, self.recorder.extra_frames(), self.trainer.model, self.recorder.folder,
        )  # fmt: skip
        if self.recorder.folder is not None:
            write_diagnosis(self.recorder.folder, result.diagnosis)
        self.recorder.update(status=status)  # last of all: a run that has ended lacks nothing
        return result

    def _prepare(self, model: AnyNetwork) -> None:
        """What is done to the initial weights before training, and seen of them."""
        if self._place is not None:
            self._place(model)
        self.observations.filters("start", model)
        if self.run.pretrain.pretrains:
            pretrain_(model, self.run, self.data.train_x, self._pretrained)
            self.observations.filters("pretrained", model)

    def _pretrained(self, done: LayerEpoch) -> None:
        if not math.isfinite(done.loss):
            self._lost = done
        self.recorder.beside({PRETRAIN_FILE: [(done.layer, done.epoch, done.loss)]})
        if self.observe is not None:
            self.observe(done)

    def _steps(self) -> tuple[int, dict[str, Any] | None]:
        """(updates done, where the run stopped being finite). The last step measures and updates nothing."""
        for step, batch in enumerate(batches(self.run, self.data, self.order, self._done), self._begin):
            last = step == self.plan.total
            with unchanged(self.trainer.model) if last else nullcontext():
                diverged_at = self._step(step, batch)
            if diverged_at or last:
                return step, diverged_at
        raise AssertionError("batches are endless")

    def _step(self, step: int, batch: Batch) -> dict[str, Any] | None:
        """One step; where the run stopped being finite, if it did."""
        trainer, self._next = self.trainer, None
        validation = self.look(step)
        trainer.enter(batch.first)
        measurement = trainer.measurement if self.plan.logged(step) else None
        done = trainer.forward_backward(batch.inputs, batch.targets, measurement)
        grad_norm = None if measurement is None else measurement.grad_norm
        if not trainer.finite(done, grad_norm):
            return self.diverge(step, done, batch.inputs)
        if validation and grad_norm is None:
            grad_norm = total_norm(done.gradients)
        self._learn(step, done, grad_norm, validation)
        self.recorder.flush(WAIT)
        used = step % self.plan.per_epoch  # an epoch that is over counts as one whose batches are all done
        self._next = (step + 1, used + 1) if step < self.plan.total else (step, used)
        self._tell(step, done)
        return None

    def look(self, step: int, known: Score | None = None) -> Score | None:
        """Look at the network as it is before a step and save it, each when it is due.

        The evaluation comes back: `known`, if somebody has made it already.
        """
        model = self.trainer.model
        self.observations.before(step, step == self.plan.total, model)
        validation = (known or self._evaluate()) if self.plan.evaluated(step) else None
        if validation:
            self.observations.evaluated(step, model)
        self._save(step)
        return validation

    def _learn(self, step: int, done: BatchPass, grad_norm: Tensor | None, validation: Score | None) -> None:
        """Clip, update and record; the norm before clipping is None where nothing is to be recorded."""
        self.trainer.clip_(done.gradients)
        clipped = not isinstance(self.run.clip, NoClip)
        after = total_norm(done.gradients) if clipped and grad_norm is not None else grad_norm
        lr = rate_at(self.run, step, self._planned)
        if step < self.plan.total:
            self.trainer.update(done.gradients, lr)
            self.recorder.note(steps=step + 1)
        if grad_norm is not None and after is not None:
            self._record(step, lr, done, grad_norm, after, validation)

    def _evaluate(self) -> Score:
        model, loss, data = self.trainer.model, self.run.criterion, self.data
        if self.run.data.running_text:
            return evaluate_text(model, loss, data.val_x, data.val_y, self.run.data.shape[0])
        return evaluate(model, loss, data.val_x, data.val_y)

    def _record(
        self, step: int, lr: float, done: BatchPass, before: Tensor, after: Tensor, validation: Score | None
    ) -> None:
        """Write the rows of a step whose update is done."""
        right = accuracy(done.outputs, done.targets)
        numbers = [done.loss, right, done.penalty, before, after]
        beside = torch.stack([number.double() for number in numbers if number is not None])
        if self.plan.logged(step):
            updated = step < self.plan.total
            tables = self.trainer.measurement.beside(step)
            rows, found = self.trainer.measurement.rows(step, self.plan.epoch(step), updated, beside)
            self.log(rows, tables)
        else:
            found = beside.tolist()
        there = iter(found)
        self.record(step, lr, [None if n is None else next(there) for n in numbers], validation)

    def log(self, rows: Sequence[Sequence[Cell]], beside: Mapping[str, Sequence[Sequence[Cell]]]) -> None:
        """Write the rows of a logged step: of gradients.csv, and of the tables that not every run has."""
        self.recorder.beside(beside)
        self.recorder.gradients.append(rows)
        if self._stopping is not None:
            self._stopping.gradients(rows, beside)

    def record(self, step: int, lr: float, numbers: Sequence[float | None], validation: Score | None) -> None:
        """Write the metrics of a step whose update is done.

        Arguments:
            step: its number.
            lr: its learning rate.
            numbers: training loss and accuracy, penalty, global gradient norm before and after clipping.
            validation: the score on the held-out data, where it is known.
        """
        train_loss, train_accuracy, penalty, before, after = numbers
        val_loss, val_accuracy = validation or (None, None)
        self.metrics.trained(
            step=step, train_loss=train_loss, train_accuracy=train_accuracy, grad_norm=before
        )
        if validation:
            nats = self.run.data.running_text and self.run.criterion.classes
            beside = per_character(validation[0]) if nats else {}
            self.metrics.evaluated(validation, beside)
        self.recorder.note(metrics=self.metrics.summary)
        row = (
            step, self.plan.epoch(step), lr, train_loss, train_accuracy, val_loss, val_accuracy, penalty,
            before, after, self.recorder.seconds,
        )  # fmt: skip
        self.recorder.metrics.append([row])
        if self._stopping is not None:
            self._stopping.metrics(row)
            self._shorten(step + 1)

    def _shorten(self, last: int) -> None:
        """Let the step `last` be the last if something was found that ends the run."""
        found = None if self._stopping is None else self._stopping.found
        if found is not None and last < self.plan.total:
            self.plan = replace(self.plan, total=last)
            self._stopped_on = found.finding

    def halt(self, step: int, done: BatchPass, validation: Score | None) -> None:
        """Record a measured step at which the run ends before its time."""
        self._learn(step, done, self.trainer.measurement.grad_norm, validation)

    def diverge(self, step: int, done: BatchPass, inputs: Tensor) -> dict[str, Any]:
        """Record the step at which a number stopped being finite; whatever is needed is computed again."""
        measurement, trainer = self.trainer.measurement, self.trainer
        before = total_norm(done.gradients)
        epoch = self.plan.epoch(step)
        if not self.plan.logged(step):
            trainer.measure_again(measurement, inputs, done.targets)
        beside = measurement.beside(step)
        self.log(measurement.rows(step, epoch, updated=False)[0], beside)
        right = checked_accuracy(done.outputs, done.targets)
        numbers = [done.loss, right, done.penalty, before]
        values = [None if number is None else float(number) for number in numbers]
        lr = rate_at(self.run, step, self._planned)
        self.record(step, lr, [*values, None], self._evaluate())
        if self._lost is not None and step == 0:
            lost = self._lost
            return {"step": 0, "layer": lost.layer, "epoch": lost.epoch, "what": "pretraining_loss"}
        return trainer.divergence(inputs, done.targets, step)

    def _save(self, step: int) -> None:
        if self.plan.saved(step) and step < self.plan.total:
            self._checkpoint(step, step % self.plan.per_epoch)
        if step in self.plan.snapshots and self.recorder.folder is not None:
            save_snapshot(self.recorder.folder, step, self.trainer.model)

    def _checkpoint(self, step: int, done: int) -> None:
        """Keep all that it takes to go on with `step`, which comes after so many batches of its epoch."""
        if self.recorder.folder is not None:
            self.recorder.flush()  # what is to be resumed needs the rows before
            save_checkpoint(self.recorder.folder, {
                "step": step, **self.trainer.state, "generators": {"order": self.order.epoch, "done": done},
                "metrics": self.metrics.state, **self.observations.known,
            })  # fmt: skip

    def _tell(self, step: int, done: BatchPass) -> None:
        if self.observe is not None:
            known = self.metrics.last
            accuracy, grad_norm = known.get("val_accuracy"), known.get("grad_norm")
            self.observe(Progress(step, self.plan.total, float(done.loss), accuracy, grad_norm))
