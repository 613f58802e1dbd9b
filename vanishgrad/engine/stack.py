"""Runs of one structure, trained in lockstep as one computation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor

from vanishgrad.choices.clipping import NoClip
from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.choices.model.build import blank
from vanishgrad.choices.regularization import WeightDecay
from vanishgrad.engine.chain import StackedChain
from vanishgrad.engine.evaluate import Score, accuracies, pooled, scores
from vanishgrad.engine.passes import StackedNetwork, StackedPass, Vmapped, share_noise
from vanishgrad.engine.recorder import Recorder, Result
from vanishgrad.engine.session import Session
from vanishgrad.engine.trainer import BatchPass
from vanishgrad.engine.update import SAFE, Descent, Rates, clip_, total_norms
from vanishgrad.measure.measurement import SeparateMeasurement, StackedMeasurement
from vanishgrad.modules.dropout import unchanged
from vanishgrad.modules.packed import Blocks, Storage, modules_of, move_out, quick_norms
from vanishgrad.records import WAIT
from vanishgrad.run import Run

EXAMPLES = 512  # that are evaluated at a time, by all runs

Ended = Callable[[int, Result], None]


class Stack:
    """Trains `runs`, which share a structure. Each has its own session: its files, measurements, evaluation.

    What a session does alone it does here too, with its network's values in the stack; only passes, clipping
    and updates are computed together.

    Arguments:
        runs: the settings.
        data: their examples.
        device: where they compute.
        recorders: where the rows of each go.
        ended: told the place of a run among `runs` and its result when it has ended.
    """

    def __init__(
        self, runs: Sequence[Run], data: Dataset, device: torch.device, recorders: Sequence[Recorder],
        ended: Ended,
    ) -> None:  # fmt: skip
        self.runs, self._ended = runs, ended
        template = blank(runs[0])
        storage = Storage(template, len(runs), device)
        self.sessions = [
            Session(run, data, device, recorder, None, partial(storage.house, row))
            for row, (run, recorder) in enumerate(zip(runs, recorders, strict=True))
        ]
        models = [session.trainer.model for session in self.sessions]
        measurements = [session.trainer.measurement for session in self.sessions]
        own = [modules_of(model, template) for model in models]
        share_noise(template, models)
        self._values, self._gradients = storage.values, _gradients_like(template, len(runs), device)
        self._network: StackedNetwork = StackedChain.of(
            runs[0], template, storage.values, self._gradients
        ) or Vmapped(runs, template, storage, self._gradients, device)
        self._measuring = StackedMeasurement.of(runs[0], template, storage.values) or SeparateMeasurement(
            measurements, own
        )
        self._descent = Descent(runs, storage.values, self._decaying())
        for row, session in enumerate(self.sessions):
            session.trainer.optimizer_state = self._descent.state_of(row)
        self._active = list(range(len(runs)))
        self._lost: dict[int, dict[str, Any] | None] = {}  # runs to be closed, and where they diverged, if
        self._orders = [iter(session.order) for session in self.sessions]
        self._plan, self._data = self.sessions[0].plan, self.sessions[0].data
        self._watched = FiniteRuns(runs, device)
        self._rates = Rates(runs, self._plan.total, device)

    def finish(self) -> None:
        """Train all runs to their ends."""
        for session in self.sessions:
            session.open()
        for step in range(self._plan.total + 1):
            if not self._active:
                return
            with ExitStack() as kept:
                for row in self._active if step == self._plan.total else self._ending(step):
                    kept.enter_context(unchanged(self.sessions[row].trainer.model))
                self._step(step)
            self._close_lost(step)
        for row in list(self._active):
            self._close(row, self._plan.total, None)

    def _step(self, step: int) -> None:
        looked = self._look(step) if self._plan.looked_at(step) or self._ending(step) else {}
        inputs, targets = self._batch()
        logged = self._plan.logged(step)
        done = self._network(inputs, targets, logged)
        norms = self._measure(step, done) if logged else None
        self._part(step, done, inputs, norms)
        self._halt(step, done, inputs, looked)
        if norms is None and looked:
            norms = total_norms(self._gradients)
        if not isinstance(self.runs[0].clip, NoClip):
            clip_(self.runs, self._gradients, self._values, self.sessions[0].trainer.output)
        if step < self._plan.total:
            self._descent.step_(self._gradients, self._rates(step))
        if norms is not None:
            self._record(step, done, norms, looked)

    def _look(self, step: int) -> dict[int, Score]:
        """Look at the networks as they are before a step and save them; their scores, when those are due."""
        known = self._evaluate() if self._plan.evaluated(step) else {}
        found = {row: self.sessions[row].look(step, known.get(row)) for row in self._active}
        return {row: score for row, score in found.items() if score is not None}

    def _evaluate(self) -> dict[int, Score]:
        """The scores of all runs on the held-out data, where the stack can give them."""
        loss, data = self.runs[0].criterion, self._data
        parts: list[tuple[int, list[Score]]] = []
        for x, y in zip(data.val_x.split(EXAMPLES), data.val_y.split(EXAMPLES), strict=True):
            outputs = self._network.outputs(x)
            if outputs is None:
                return {}
            parts.append((len(y), scores(outputs, y, loss)))
        return {row: pooled([(count, found[row]) for count, found in parts]) for row in self._active}

    def _batch(self) -> tuple[Tensor, Tensor]:
        """The next batch of every run, `(runs, batch, ...)`."""
        data, runs = self._data, len(self.runs)
        if self.runs[0].batch_size == "full":
            return tuple(part.expand(runs, *part.shape) for part in (data.train_x, data.train_y))  # type: ignore[return-value]
        rows = torch.stack([next(order) for order in self._orders]).to(data.train_x.device)
        chosen = [part.index_select(0, rows.flatten()) for part in (data.train_x, data.train_y)]
        inputs, targets = (part.unflatten(0, rows.shape) for part in chosen)
        return inputs, targets

    def _measure(self, step: int, done: StackedPass) -> Tensor:
        """Measure what was recorded; the global gradient norms."""
        assert done.recorded is not None
        self._measuring.gradients(done.recorded, self._gradients, self._active)
        return self._measuring.grad_norms

    def _part(self, step: int, done: StackedPass, inputs: Tensor, norms: Tensor | None) -> None:
        """Part with the runs that stopped being finite."""
        for row in self._watched(done.losses, self._gradients, self._values, self._active, norms):
            session = self.sessions[row]
            if done.recorded is not None:  # alone, sums that overflow may come out as NaN for inf
                session.trainer.measure_again(session.trainer.measurement, inputs[row], done.targets[row])
            self._lost[row] = session.diverge(step, self._pass(done, row), inputs[row])
            self._leave(row)

    def _ending(self, step: int) -> list[int]:
        """The runs that end with this step, before the others."""
        return [row for row in self._active if self.sessions[row].plan.total == step < self._plan.total]

    def _halt(self, step: int, done: StackedPass, inputs: Tensor, looked: dict[int, Score]) -> None:
        """Part with the runs that end with this step, which is measured and updates nothing."""
        for row in self._ending(step):
            trainer = self.sessions[row].trainer
            trainer.measure_again(trainer.measurement, inputs[row], done.targets[row])
            self.sessions[row].halt(step, self._pass(done, row), looked.pop(row, None))
            self._lost[row] = None
            self._leave(row)

    def _leave(self, row: int) -> None:
        """Give a run its network and its optimizer's memory for itself, and the others zeros in its place."""
        trainer = self.sessions[row].trainer
        self._active.remove(row)
        move_out(trainer.model)
        memory = trainer.optimizer_state
        trainer.optimizer_state = {name: [t.clone() for t in memory[name]] for name in memory}
        for block in (*self._values.all, *self._gradients.all):
            block[:, row] = 0

    def _pass(self, done: StackedPass, row: int) -> BatchPass:
        penalty = None if done.penalties is None else done.penalties[row]
        gradients = self._gradients.of_run(row)
        return BatchPass(done.losses[row], penalty, done.outputs[row], done.targets[row], gradients)

    def _record(self, step: int, done: StackedPass, norms: Tensor, looked: dict[int, Score]) -> None:
        """Write the rows of a step whose update is done."""
        if done.recorded is not None:
            self._record_gradients(step)
        after = norms if isinstance(self.runs[0].clip, NoClip) else total_norms(self._gradients)
        columns = [done.losses, accuracies(done.outputs, done.targets), done.penalties, norms, after]
        numbers = [[None] * len(self.runs) if c is None else c.double().tolist() for c in columns]
        rates = self._rates(step).tolist()
        for row in self._active:
            session = self.sessions[row]
            session.recorder.note(steps=min(step + 1, self._plan.total))
            session.record(step, rates[row], [column[row] for column in numbers], looked.get(row))
            session.recorder.flush(WAIT)

    def _record_gradients(self, step: int) -> None:
        beside = self._measuring.beside(step, self._active)
        updated = step < self._plan.total
        rows = self._measuring.rows(step, self._plan.epoch(step), updated, self._active)
        for row in self._active:
            self.sessions[row].log(rows[row], beside.get(row, {}))

    def _close_lost(self, step: int) -> None:
        for row, found in self._lost.items():
            self._close(row, step, found)
        self._lost.clear()

    def _close(self, row: int, step: int, diverged_at: dict[str, Any] | None) -> None:
        self._ended(row, self.sessions[row].close(step, diverged_at))

    def _decaying(self) -> list[int]:
        """The positions of the parameters that weight decay multiplies."""
        trainer = self.sessions[0].trainer
        if not isinstance(self.runs[0].reg, WeightDecay):
            return []
        places = [parameter.data_ptr() for parameter in trainer.parameters]
        return [places.index(tensor.data_ptr()) for tensor in trainer.decaying]


class FiniteRuns:
    """Which runs have a loss, a gradient or a weight that is not finite; the rule of `FiniteCheck`, per run.

    Arguments:
        runs: the settings.
        device: where they compute.
    """

    def __init__(self, runs: Sequence[Run], device: torch.device) -> None:
        self._rates = torch.tensor([run.rate for run in runs], dtype=torch.float64, device=device)
        decays = [
            1 - run.rate * run.reg.strength if isinstance(run.reg, WeightDecay) else 1.0 for run in runs
        ]
        decay = torch.tensor(decays, dtype=torch.float64, device=device)
        self._first, self._risky = True, (self._rates >= SAFE) | (decay.abs() > 1)

    def __call__(
        self, losses: Tensor, gradients: Blocks, values: Blocks, active: Sequence[int],
        norms: Tensor | None = None,
    ) -> list[int]:  # fmt: skip
        """The runs among `active` that are lost; `norms` are those of all gradients, if they are known."""
        sizes = quick_norms(gradients.all) if norms is None else norms
        level = sizes + losses.double().abs()
        self._risky |= ~((level < SAFE) & (level * self._rates < SAFE))
        asked = torch.ones_like(self._risky) if self._first else self._risky
        self._first = False
        if not asked.any():
            return []
        return [row for row in active if asked[row] and not _finite(losses, gradients, values, row)]


def _finite(losses: Tensor, gradients: Blocks, values: Blocks, row: int) -> bool:
    tensors = (losses[row], *(block[:, row] for block in (*gradients.all, *values.all)))
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def _gradients_like(template: torch.nn.Module, runs: int, device: torch.device) -> Blocks:
    return Blocks([parameter.detach() for parameter in template.parameters()], runs, device)
