"""What follows a pass, for all runs of a stack: are the numbers finite, clipping, the optimizer's step."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vanishgrad.choices.optimizer import State
from vanishgrad.diagnosis import layers as by_layers
from vanishgrad.diagnosis.layers import MEASURED
from vanishgrad.modules.norms import stacked_norms
from vanishgrad.modules.packed import Blocks, Number, add_, gathered, scale_
from vanishgrad.records import GRADIENT_COLUMNS, Cell
from vanishgrad.run import Run

SAFE = 1e15  # of a float32 norm; an update this small cannot carry a weight out of the finite range


class FiniteCheck:
    """Which runs have a loss, a gradient or a weight that is not finite.

    One look at the device settles the usual case: a finite norm of all gradients of all runs. Weights are
    looked at element by element at first, and from the first update on that was large enough to carry one of
    them away: where activations saturate, weights of inf have gradients of 0.

    Arguments:
        runs: the settings.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self._rates = [run.rate for run in runs]
        grows = [abs(1 - run.rate * run.reg.decay) > 1 for run in runs]  # the decayed weights
        self._first, self._risky = (
            True,
            [yes or run.rate >= SAFE for yes, run in zip(grows, runs, strict=True)],
        )

    def __call__(
        self, losses: Tensor, gradients: Blocks, values: Blocks, active: Sequence[int],
        norms: Tensor | None = None,
    ) -> list[int]:  # fmt: skip
        """The runs among `active` that are lost.

        Arguments:
            losses: `(runs,)`.
            gradients, values: of all runs.
            active: the runs to be looked at.
            norms: the global gradient norms, `(runs,)`, if they are known already.
        """
        if norms is not None or not self._small(gradients.quick_norm() + float(losses.abs().sum()), active):
            sizes = torch.linalg.vector_norm(stacked_norms(gradients.all), dim=0) if norms is None else norms
            levels = (sizes + losses.abs()).tolist()
            for row in active:
                if not self._small(levels[row], [row]):
                    self._risky[row] = True
        asked = [row for row in active if self._first or self._risky[row]]
        self._first = False
        return [row for row in asked if not _finite(losses, gradients, values, row)]

    def _small(self, level: float, rows: Sequence[int]) -> bool:
        """Whether nothing of that size can carry a weight of the runs out of the finite range; NaN can."""
        return level < SAFE and all(level * self._rates[row] < SAFE for row in rows)


def _finite(losses: Tensor, gradients: Blocks, values: Blocks, row: int) -> bool:
    tensors = (losses[row], *(block[row] for block in (*gradients.all, *values.all)))
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def first_nonfinite_layer(rows: Iterable[Sequence[Cell]], biases: Collection[str] = ()) -> dict[str, Any]:
    """The layer that stopped being finite first, and in what, from the rows of that step.

    Arguments:
        rows: of gradients.csv.
        biases: names of the weight matrices whose bias is not finite, which no column tells.
    """
    layers = [dict(zip(GRADIENT_COLUMNS, row, strict=True)) for row in rows]
    values = ([layer[name] for name in MEASURED] for layer in layers)
    lost = np.array([[isinstance(one, float) and not math.isfinite(one) for one in row] for row in values])
    places = [place for place, layer in enumerate(layers) if layer["name"] in biases]
    place, what = by_layers.first_nonfinite_place(lost, places) or (len(layers) - 1, "loss")
    return {"layer": layers[place]["layer"], "name": layers[place]["name"], "what": what}


def numbers_of(choices: Sequence[Any], device: torch.device) -> dict[str, Number]:
    """What a choice says that `varies`, of the choices of all runs."""
    return {
        name: gathered([getattr(choice, name) for choice in choices], device) for name in choices[0].varies
    }


class Clipper:
    """Does to the gradients of each run what its `clip` does.

    Arguments:
        runs: the settings, with the same kind of clipping.
        output: the position of the first tensor of the output layer.
        device: where they compute.
    """

    def __init__(self, runs: Sequence[Run], output: int, device: torch.device) -> None:
        self.clip, self._output = runs[0].clip, output
        self._numbers = numbers_of([run.clip for run in runs], device)

    def __call__(self, gradients: Blocks, values: Blocks) -> None:
        """Change the gradients in place."""
        self.clip.clip_runs_(gradients, values, self._output, self._numbers)


class Descent:
    """Updates the parameters of all runs.

    Arguments:
        runs: the settings, of one structure.
        values: the parameters.
        decaying: the positions of those that weight decay multiplies.
    """

    def __init__(self, runs: Sequence[Run], values: Blocks, decaying: Sequence[int]) -> None:
        self._values, self._optimizers = values, [run.optim for run in runs]
        device = values.all[0].device
        self._decaying = [values.stacked[index] for index in decaying]
        self._decay = gathered([run.reg.decay for run in runs], device)
        self._numbers = numbers_of(self._optimizers, device)
        self._elementwise = self._optimizers[0].elementwise
        self._states: list[State] = []  # of each run, where each takes its step for itself
        self._state: State = {}  # of all runs, where they take it at once
        if self._elementwise:
            started = [optimizer.start(values.all) for optimizer in dict.fromkeys(self._optimizers)]
            self._state = max(started, key=len)  # a run without momentum needs no memory
        else:
            self._states = [one.start(values.of_run(row)) for row, one in enumerate(self._optimizers)]
        self._change: list[Tensor] = []

    def state_of(self, row: int) -> State:
        """The optimizer's memory of one run: of each tensor a list with one entry per parameter; views."""
        if self._states:
            return self._states[row]
        used = self._optimizers[row].start([])
        return {name: self._of_run(memory, row) for name, memory in self._state.items() if name in used}

    def _of_run(self, memory: Sequence[Tensor], row: int) -> list[Tensor]:
        """One tensor per parameter, out of blocks or of counters that all runs share."""
        kept = [(memory[block], position) for block, position in self._values.places]
        return [entry if entry.ndim == 0 else entry[row, position] for entry, position in kept]

    def step_(self, gradients: Blocks, rates: Number) -> None:
        """One update after the decoupled decay; `rates` are the runs' learning rates."""
        optimizer, values = self._optimizers[0], self._values
        if self._decaying:
            scale_(self._decaying, 1 - rates * self._decay)
        if not self._elementwise:
            self._one_by_one(gradients, rates)
        elif optimizer.varies:
            optimizer.step_runs_(values.all, gradients.all, self._state, rates, self._numbers)
        elif isinstance(rates, float):
            optimizer.step_(values.all, gradients.all, self._state, rates)
        else:  # from 0 with rate 1: the change that each run's own rate multiplies
            self._change = self._change or values.alike()
            torch._foreach_zero_(self._change)
            optimizer.step_(self._change, gradients.all, self._state, 1.0)
            add_(values.all, self._change, rates)

    def _one_by_one(self, gradients: Blocks, rates: Number) -> None:
        steps = [rates] * self._values.runs if isinstance(rates, float) else rates.tolist()
        for row, (optimizer, state) in enumerate(zip(self._optimizers, self._states, strict=True)):
            optimizer.step_(self._values.of_run(row), gradients.of_run(row), state, steps[row])


def rate_at(run: Run, step: int, total: int) -> float:
    """The rate of the update after `step` updates: linear warm-up, then the schedule."""
    if step < run.warmup:
        return run.rate * (step + 1) / run.warmup
    return run.rate * run.schedule.factor((step - run.warmup) / max(1, total - run.warmup))


class Rates:
    """The rate of each run's update, by step.

    Arguments:
        runs: the settings.
        total: updates of each.
        device: where they compute.
    """

    def __init__(self, runs: Sequence[Run], total: int, device: torch.device) -> None:
        self._runs, self._total, self._device = runs, total, device
        steady = all(run.warmup == 0 and run.schedule.steady for run in runs)
        self._always = self._at(0) if steady else None

    def __call__(self, step: int) -> Number:
        """Of the update after `step` updates."""
        return self._at(step) if self._always is None else self._always

    def each(self, step: int) -> list[float]:
        """The same as a list."""
        return [rate_at(run, step, self._total) for run in self._runs]

    def _at(self, step: int) -> Number:
        return gathered(self.each(step), self._device)
