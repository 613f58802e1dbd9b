"""Runs of one structure, trained in lockstep as one computation; a run alone is a stack of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.engine.evaluate import Score, accuracies, checked_accuracy, pooled_score, scores
from vanishgrad.engine.passes import StackedPass
from vanishgrad.engine.plan import Batch, batches
from vanishgrad.engine.recorder import Recorder, Result
from vanishgrad.engine.session import Callback, Numbers, Session
from vanishgrad.engine.trainer import Trainer
from vanishgrad.engine.update import Rates
from vanishgrad.errors import WriteError
from vanishgrad.interruption import BetweenSteps
from vanishgrad.modules.dropout import unchanged
from vanishgrad.records import WAIT
from vanishgrad.run import Run

EXAMPLES = 512  # that are evaluated at a time, by all runs

Ended = Callable[[int, Result], None]
P = ParamSpec("P")
T = TypeVar("T")


class Stack:
    """Trains `runs`, which share a structure.

    Each has a session, which evaluates its network and writes its files; passes, measurements, clipping and
    updates are computed together.

    Arguments:
        runs: the settings.
        data: their examples.
        device: where they compute.
        recorders: where the rows of each go.
        ended: called with the place of a run among `runs` and its result when it has ended.
        callback: called after every step of a run alone, and of its pretraining.
    """

    def __init__(
        self, runs: Sequence[Run], data: Dataset, device: torch.device, recorders: Sequence[Recorder],
        ended: Ended, callback: Callback | None = None,
    ) -> None:  # fmt: skip
        self.runs, self._ended = runs, ended
        pairs = zip(runs, recorders, strict=True)
        self.sessions = [Session(run, data, device, recorder, callback) for run, recorder in pairs]
        self._failed: dict[int, WriteError] = {}  # active runs whose files cannot be written
        self.trainer = Trainer(
            runs, device, lambda row, model: self._write(row, self.sessions[row].prepare, model)
        )
        self._active = list(range(len(runs)))
        self._plan, self._data = self.sessions[0].plan, self.sessions[0].data
        self._rates = Rates(runs, self._plan.total, device)
        self._begin = 0  # the step that comes first
        self._done = 0  # batches of its epoch that come before it
        self._next: tuple[int, int] | None = None  # the same two of the next step, while none is under way

    def restore(self, state: dict[str, Any]) -> None:
        """Begin where the checkpoint of a run alone was written."""
        self._begin, self._done = state["step"], state["generators"]["done"]
        self.trainer.restore(state)
        self.sessions[0].restore(state)

    def finish(self) -> None:
        """Train all runs to their ends, or as long as their numbers stay finite.

        A signal that asks for an end has it after the step; a run alone leaves a checkpoint.
        """
        for row, session in enumerate(self.sessions):
            self._write(row, session.open)
        self._leave_failed()
        if not self._active:
            return
        try:
            with BetweenSteps() as signals:
                for step, batch in enumerate(self.batches(), self._begin):
                    self.step(step, batch)
                    if not self._active:
                        return
                    signals.heed()
        except KeyboardInterrupt:
            if self._next is not None and len(self.runs) == 1:
                self.sessions[0].checkpoint(*self._next, self.trainer.state_of(0))
            raise

    def batches(self) -> Iterator[Batch]:
        """The batches of all runs, `(runs, batch, ...)`, without end."""
        data, sessions = self._data, self.sessions
        if len(sessions) == 1 or self.runs[0].batch_size == "full":
            for batch in batches(self.runs[0], data, sessions[0].order, self._done):
                inputs, targets = (
                    part.expand(len(sessions), *part.shape) for part in (batch.inputs, batch.targets)
                )
                yield Batch(inputs, targets, batch.first)
        for orders in zip(*(session.order for session in sessions), strict=True):
            rows = torch.stack(orders).to(data.train_x.device)
            chosen = [part.index_select(0, rows.flatten()) for part in (data.train_x, data.train_y)]
            yield Batch(*(part.unflatten(0, rows.shape) for part in chosen))

    def step(self, step: int, batch: Batch) -> None:
        """One step of all active runs; those that end with it are closed.

        A run's last step is measured and updates nothing.
        """
        ending = [row for row in self._active if self.sessions[row].plan.total == step]
        self._next = None
        lost: dict[int, dict[str, Any] | None] = {}
        with ExitStack() as kept:
            for row in ending:
                kept.enter_context(unchanged(self.trainer.models[row]))
            looked = self._look(step) if ending or self._plan.looked_at(step) else {}
            done, norms = self._pass(step, batch, bool(ending))
            for row in self.trainer.lost(done, self._active, norms):
                lost[row] = self._diverge(row, step, done, batch)
            if norms is None and looked:
                norms = self.trainer.total_norms()
            self._learn(step, done, norms, looked, ending)
        used = step % self._plan.per_epoch  # an epoch that is over counts as one whose batches are all done
        self._next = (step + 1, used + 1) if self._active else (step, used)
        if len(self.runs) == 1 and not lost:
            self.sessions[0].after(step, done.losses[0])
        for row in ending:
            lost.setdefault(row, None)
        for row, diverged_at in lost.items():
            close = self.sessions[row].close
            result = self._write(row, close, step, diverged_at, self.trainer.state_of(row))
            if result is not None:
                self._ended(row, result)
        self._leave_failed()

    def _pass(self, step: int, batch: Batch, ending: bool) -> tuple[StackedPass, Tensor | None]:
        """The pass, and the global gradient norms where it is measured."""
        logged = ending or self._plan.logged(step)
        self.trainer.enter(batch.first)
        done = self.trainer.forward_backward(batch.inputs, batch.targets, logged)
        return done, self.trainer.measurement.grad_norms if logged else None

    def _learn(
        self, step: int, done: StackedPass, norms: Tensor | None, looked: dict[int, Score], ending: list[int]
    ) -> None:
        """Clip, record and update; the norms before clipping are None where nothing is to be recorded."""
        if not self._active:
            return
        self.trainer.clip_()
        clips = self.runs[0].clip.clips
        after = self.trainer.total_norms() if clips and norms is not None else norms
        ending = [row for row in ending if row in self._active]
        if norms is not None and after is not None and ending:
            self._record(step, ending, done, norms, after, looked)
        for row in ending:
            self._leave(row)
        if self._active:
            self.trainer.update(self._rates(step))
            for row in self._active:
                self.sessions[row].recorder.note(steps=step + 1)
            due = [row for row in self._active if row in looked or self.sessions[row].plan.logged(step)]
            if norms is not None and after is not None and due:
                self._record(step, due, done, norms, after, looked, updated=True)

    def _record(
        self, step: int, rows: Sequence[int], done: StackedPass, before: Tensor, after: Tensor,
        looked: dict[int, Score], updated: bool = False,
    ) -> None:  # fmt: skip
        """Write the rows of a step of some runs."""
        columns = [done.losses, accuracies(done.outputs, done.targets), done.penalties, before, after]
        table = torch.stack([column.double() for column in columns if column is not None])
        logged = [row for row in rows if self.sessions[row].plan.logged(step)]
        numbers = self._record_gradients(step, logged, updated, table) if logged else table.flatten().tolist()
        width = len(self.runs)
        values = iter([numbers[start : start + width] for start in range(0, len(numbers), width)])
        figures = [None if column is None else next(values) for column in columns]
        rates = self._rates.each(step)
        for row in rows:
            mine: Numbers = [None if column is None else column[row] for column in figures]
            self._write(row, self.sessions[row].record, step, rates[row], mine, looked.get(row))
            self._write(row, self.sessions[row].recorder.flush, WAIT)

    def _record_gradients(self, step: int, rows: Sequence[int], updated: bool, table: Tensor) -> list[float]:
        """Write the gradients of a step of some runs; the numbers of `table` travel with them."""
        measurement, epoch = self.trainer.measurement, self._plan.epoch(step)
        extra = {row: measurement.extra_tables(step, row) for row in rows}
        gradients, numbers = measurement.rows_of_runs(step, epoch, rows, updated, table.flatten())
        for row in rows:
            self._write(row, self.sessions[row].log, gradients[row], extra[row])
        return numbers

    def _look(self, step: int) -> dict[int, Score]:
        """Look at the networks as they are before a step and save them; their scores, when those are due."""
        evaluated = self._evaluated() if self._plan.evaluated(step) else {}
        due: dict[int, Score] = {}
        for row in self._active:
            session = self.sessions[row]
            score = self._write(row, session.look, step, evaluated.get(row))
            if session.plan.saved(step) and step < session.plan.total:
                done = step % self._plan.per_epoch
                self._write(row, session.checkpoint, step, done, self.trainer.state_of(row))
            if score is not None:
                due[row] = score
        return due

    def _evaluated(self) -> dict[int, Score]:
        """The scores of all runs on the held-out data, where the stack can give them."""
        loss, data = self.runs[0].criterion, self._data
        parts: list[tuple[int, list[Score]]] = []
        for x, y in zip(data.val_x.split(EXAMPLES), data.val_y.split(EXAMPLES), strict=True):
            outputs = self.trainer.network.outputs(x)
            if outputs is None:
                return {}
            parts.append((len(y), scores(outputs, y, loss)))
        return {row: pooled_score([(count, part[row]) for count, part in parts]) for row in self._active}

    def _diverge(self, row: int, step: int, done: StackedPass, batch: Batch) -> dict[str, Any]:
        """Record the step at which a number of a run stopped being finite, and let the run go.

        Whatever is needed is computed again.
        """
        trainer, session = self.trainer, self.sessions[row]
        inputs, targets = batch.inputs[row], batch.targets[row]
        before = trainer.total_norms()[row]
        measurement = trainer.measured_again(row, inputs, targets)
        extra = measurement.extra_tables(step)
        rows = measurement.rows(step, self._plan.epoch(step), updated=False)[0]
        self._write(row, session.log, rows, extra)
        right, penalties = checked_accuracy(done.outputs[row], targets), done.penalties
        numbers = [done.losses[row], right, None if penalties is None else penalties[row], before, None]
        values = [None if number is None else float(number) for number in numbers]
        self._write(row, session.diverge, step, self._rates.each(step)[row], values)
        lost = session.lost_in_pretraining if step == 0 else None
        diverged_at = lost or trainer.divergence(row, inputs, targets, step)
        self._leave(row)
        return diverged_at

    def _write(self, row: int, write: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Have a session write; when it cannot, its run fails at the end of the step and the others go on."""
        if row in self._failed:
            return None
        try:
            return write(*args, **kwargs)
        except WriteError as error:
            if len(self.runs) == 1:
                raise
            self._failed[row] = error
            return None

    def _leave_failed(self) -> None:
        """Let the runs go whose files cannot be written."""
        failed, self._failed = self._failed, {}
        for row, error in failed.items():
            if row in self._active:
                self._leave(row)
            self._ended(row, self.sessions[row].fail(error))

    def _leave(self, row: int) -> None:
        self._active.remove(row)
        if self._active:
            self.trainer.leave(row)
