"""Train one run from its first step to its last."""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vanishgrad import records
from vanishgrad.choices.clipping import NoClip
from vanishgrad.choices.data import Text
from vanishgrad.choices.pretraining import NoPretraining
from vanishgrad.data import Dataset
from vanishgrad.models.build import AnyNetwork
from vanishgrad.models.network import Network
from vanishgrad.models.recurrent import Recurrent
from vanishgrad.norms import total_norm
from vanishgrad.run import Run
from vanishgrad.training.batches import Batch, Order, batch_size_of, batches
from vanishgrad.training.checkpoint import save_checkpoint, save_snapshot
from vanishgrad.training.evaluate import accuracy, checked_accuracy, evaluate
from vanishgrad.training.machine import device_of, threads, threads_of
from vanishgrad.training.observations import Observations
from vanishgrad.training.plan import Plan
from vanishgrad.training.prepare import check
from vanishgrad.training.pretraining import LayerEpoch, pretrain_
from vanishgrad.training.progress import Observer, Progress
from vanishgrad.training.provenance import Provenance
from vanishgrad.training.rate import rate_at
from vanishgrad.training.recorder import Recorder
from vanishgrad.training.result import Result
from vanishgrad.training.running_text import evaluate_text, per_character
from vanishgrad.training.trainer import Pass, Trainer
from vanishgrad.training.unchanged import unchanged

Metrics = dict[str, float | None]


def train(
    run: Run,
    out: Path | str | None = None,
    *,
    provenance: Provenance | None = None,
    observe: Observer | None = None,
) -> Result:
    """Train `run` and measure every layer on the way.

    Arguments:
        run: the setting.
        out: a folder to write as a run folder; None keeps the tables in memory.
        provenance: what run.json says about where the setting came from; the default is the setting itself.
        observe: called after every step.

    Raises:
        SettingError: before anything is written, when data, batch size, device or memory forbid the run.
    """
    data = check(run)
    device = device_of(run)
    count = threads_of(run, batch_size_of(run, len(data.train_x)))
    folder = None if out is None else Path(out)
    with threads(count), Recorder(run, folder, provenance, device) as recorder:
        return Session(run, data, device, recorder, observe).finish()


class Session:
    """A run in progress.

    Arguments:
        run: the setting.
        data: its examples.
        device: where it computes.
        recorder: where its rows go.
        observe: called after every step, if given.
    """

    def __init__(
        self, run: Run, data: Dataset, device: torch.device, recorder: Recorder, observe: Observer | None
    ) -> None:
        self.run, self.recorder, self.observe = run, recorder, observe
        self.data = data.to(device, getattr(torch, run.dtype))
        self.observations = Observations(run, self.data, recorder)
        self.trainer = Trainer(run, device, self._prepare)
        self.order = Order(run, len(self.data.train_x))
        self.plan = Plan.of(run, len(self.data.train_x))
        self.last: Metrics = {}
        self.best: Metrics = {}
        self.lowest = math.inf  # held-out loss so far

    def finish(self) -> Result:
        """Do all steps, or as many as stay finite, and close the record."""
        parameters = sum(parameter.numel() for parameter in self.trainer.parameters)
        self.recorder.update(parameters=parameters)
        step, diverged_at = self._steps()
        status = "diverged" if diverged_at else "completed"
        seconds = self.recorder.seconds
        self.recorder.flush()
        self._checkpoint(step)
        self.observations.finish(self.trainer.model)
        self.recorder.update(
            status=status, steps=step, seconds=seconds, diverged_at=diverged_at,
            metrics={"final": self.last, "best": self.best},
        )  # fmt: skip
        gradients, metrics = self.recorder.frames()
        return Result(
            self.run, status, step, seconds, diverged_at, self.last, self.best, gradients, metrics,
            self.recorder.extra_frames(), self.trainer.model, self.recorder.folder,
        )  # fmt: skip

    def _prepare(self, model: AnyNetwork) -> None:
        """What is done to the initial weights before training, and seen of them."""
        self.observations.filters("start", model)
        if isinstance(model, Network) and not isinstance(self.run.pretrain, NoPretraining):
            pretrain_(model, self.run, self.data.train_x, self._pretrained)
            self.observations.filters("pretrained", model)

    def _pretrained(self, done: LayerEpoch) -> None:
        self.recorder.beside({records.PRETRAIN_FILE: [(done.layer, done.epoch, done.loss)]})
        if self.observe is not None:
            self.observe(done)

    def _steps(self) -> tuple[int, dict[str, Any] | None]:
        """(updates done, where the run stopped being finite). The last step measures and updates nothing."""
        for step, batch in enumerate(batches(self.run, self.data, self.order)):
            last = step == self.plan.total
            with unchanged(self.trainer.model) if last else nullcontext():
                diverged_at = self._step(step, batch)
            if diverged_at or last:
                return step, diverged_at
        raise AssertionError("batches are endless")

    def _step(self, step: int, batch: Batch) -> dict[str, Any] | None:
        """One step; where the run stopped being finite, if it did."""
        trainer, logged = self.trainer, self.plan.logged(step)
        self.observations.before(step, step == self.plan.total, trainer.model)
        validation = self._evaluate() if self.plan.evaluated(step) else None
        if validation:
            self.observations.evaluated(step, trainer.model)
        self._save(step)
        trainer.enter(batch.first)
        done = trainer.forward_backward(batch.inputs, batch.targets, trainer.measurement if logged else None)
        if not trainer.finite(done, trainer.measurement.grad_norm if logged else None):
            return self._diverge(step, done, batch.inputs, logged)
        gradients = done.gradients
        before = trainer.measurement.grad_norm if logged else total_norm(gradients) if validation else None
        trainer.clip_(gradients)
        after = before if isinstance(self.run.clip, NoClip) or before is None else total_norm(gradients)
        lr = rate_at(self.run, step, self.plan.total)
        if step < self.plan.total:
            trainer.update(gradients, lr)
            self.recorder.note(steps=step + 1)
        if before is not None and after is not None:
            self._record(step, lr, logged, done, before, after, validation)
        self.recorder.flush(records.WAIT)
        self._tell(step, done)
        return None

    def _evaluate(self) -> tuple[float, float | None]:
        model, loss, data = self.trainer.model, self.run.criterion, self.data
        if isinstance(self.run.data, Text):
            assert isinstance(model, Recurrent)
            return evaluate_text(model, loss, data.val_x, data.val_y, self.run.data.length)
        return evaluate(model, loss, data.val_x, data.val_y)

    def _record(
        self, step: int, lr: float, logged: bool, done: Pass, before: Tensor, after: Tensor,
        validation: tuple[float, float | None] | None,
    ) -> None:  # fmt: skip
        """Write the rows of a step whose update is done."""
        right = accuracy(done.outputs, done.targets)
        numbers = [done.loss, right, done.penalty, before, after]
        beside = torch.stack([number.double() for number in numbers if number is not None])
        if logged:
            updated = step < self.plan.total
            self.recorder.beside(self.trainer.measurement.beside(step))
            rows, found = self.trainer.measurement.rows(step, self.plan.epoch(step), updated, beside)
            self.recorder.gradients.append(rows)
        else:
            found = beside.tolist()
        there = iter(found)
        self._metrics_row(step, lr, [None if n is None else next(there) for n in numbers], validation)

    def _metrics_row(
        self, step: int, lr: float, numbers: list[float | None], validation: tuple[float, float | None] | None
    ) -> None:
        train_loss, train_accuracy, penalty, before, after = numbers
        val_loss, val_accuracy = validation or (None, None)
        self.last = self.last | {
            "step": step, "train_loss": train_loss, "train_accuracy": train_accuracy, "grad_norm": before,
        }  # fmt: skip
        if validation:
            self.last |= {"val_loss": val_loss, "val_accuracy": val_accuracy}
            if isinstance(self.run.data, Text):
                self.last |= per_character(validation[0])
            if validation[0] < self.lowest:
                self.lowest, self.best = validation[0], dict(self.last)
        self.recorder.note(metrics={"final": self.last, "best": self.best})
        row = (
            step, self.plan.epoch(step), lr, train_loss, train_accuracy, val_loss, val_accuracy, penalty,
            before, after, self.recorder.seconds,
        )  # fmt: skip
        self.recorder.metrics.append([row])

    def _diverge(self, step: int, done: Pass, inputs: Tensor, logged: bool) -> dict[str, Any]:
        """Record the step at which a number stopped being finite; whatever is needed is computed again."""
        measurement, trainer = self.trainer.measurement, self.trainer
        before = total_norm(done.gradients)
        epoch = self.plan.epoch(step)
        if logged:
            rows, _ = measurement.rows(step, epoch, updated=False)
        else:
            rows = trainer.measured_again(measurement, inputs, done.targets, step, epoch)
        self.recorder.gradients.append(rows)
        right = checked_accuracy(done.outputs, done.targets)
        numbers = [done.loss, right, done.penalty, before]
        values = [None if number is None else float(number) for number in numbers]
        lr = rate_at(self.run, step, self.plan.total)
        self._metrics_row(step, lr, [*values, None], self._evaluate())
        return trainer.divergence(inputs, done.targets, step)

    def _save(self, step: int) -> None:
        if self.plan.saved(step) and step < self.plan.total:
            self._checkpoint(step)
        if step in self.plan.snapshots and self.recorder.folder is not None:
            save_snapshot(self.recorder.folder, step, self.trainer.model)

    def _checkpoint(self, step: int) -> None:
        if self.recorder.folder is not None:
            save_checkpoint(self.recorder.folder, {
                "step": step, "model": self.trainer.model.state_dict(),
                "optimizer": self.trainer.optimizer_state,
                "generators": {"order": self.order.generator.get_state()}, **self.observations.known,
            })  # fmt: skip

    def _tell(self, step: int, done: Pass) -> None:
        if self.observe is not None:
            known = self.last.get("val_accuracy"), self.last.get("grad_norm")
            self.observe(Progress(step, self.plan.total, float(done.loss), *known))
