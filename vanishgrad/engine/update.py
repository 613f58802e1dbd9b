"""Where a run stopped being finite."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from vanishgrad.choices.clipping import AGC, ClipByNorm, ClipByValue
from vanishgrad.choices.optimizer import SGD, State
from vanishgrad.choices.regularization import WeightDecay
from vanishgrad.choices.schedule import ConstantLR
from vanishgrad.modules.packed import Blocks, along_runs, lengths
from vanishgrad.records import GRADIENT_COLUMNS, Cell
from vanishgrad.run import Run

FORWARD = ("weight_norm", "act_mean", "act_std")
BACKWARD = ("delta_norm", "grad_norm", "bias_grad_norm")
SAFE = 1e15  # of a float32 norm; an update this small cannot carry a weight out of the finite range


class FiniteCheck:
    """Whether the loss and every element of gradients and weights are finite.

    One look at the device settles the usual case: a finite norm of all gradients. Weights are looked at
    element by element at first, and from the first update on that was large enough to carry one of them
    away: where activations saturate, weights of inf have gradients of 0.

    Arguments:
        rate: the largest learning rate.
        decay: what a step's decay multiplies the weights by.
    """

    def __init__(self, rate: float, decay: float = 1.0) -> None:
        self._rate = rate
        self._first, self._risky = True, rate >= SAFE or abs(decay) > 1

    def __call__(
        self, loss: Tensor, gradients: Sequence[Tensor], weights: Sequence[Tensor], norm: Tensor | None = None
    ) -> bool:
        """`norm` is the global norm of the gradients, if it is known already."""
        size = torch.stack(torch._foreach_norm(list(gradients))).sum() if norm is None else norm
        level = float((size + loss.abs()).item())
        self._risky = self._risky or not (level < SAFE and level * self._rate < SAFE)
        if not (self._risky or self._first):
            return True
        self._first = False
        return all(bool(tensor.isfinite().all()) for tensor in (loss, *gradients, *weights))


def first_nonfinite(rows: Iterable[Sequence[Cell]], biases: Collection[str] = ()) -> dict[str, Any]:
    """The layer that stopped being finite first, and in what, from the rows of that step.

    The forward pass meets trouble nearest the input first, the backward pass nearest the output.

    Arguments:
        rows: of gradients.csv.
        biases: names of the weight matrices whose bias is not finite, which no column tells.
    """
    layers = [dict(zip(GRADIENT_COLUMNS, row, strict=True)) for row in rows]
    for columns, order in ((FORWARD, layers), (BACKWARD, layers[::-1])):
        for layer in order:
            for name in columns:
                value = layer[name]
                if isinstance(value, float) and not math.isfinite(value):
                    return {"layer": layer["layer"], "name": layer["name"], "what": name}
            if columns is FORWARD and layer["name"] in biases:
                return {"layer": layer["layer"], "name": layer["name"], "what": "bias"}
    return {"layer": layers[-1]["layer"], "name": layers[-1]["name"], "what": "loss"}


def total_norms(gradients: Blocks) -> Tensor:
    """The L2 norm of all gradients of each run, `(runs,)` in float64."""
    return torch.linalg.vector_norm(lengths(gradients.all), dim=0)


def clip_(runs: Sequence[Run], gradients: Blocks, values: Blocks, output: int) -> None:
    """Do to the gradients of each run what its `clip` does; those from `output` on are the output layer's.

    The runs have the same kind of clipping.
    """
    device = gradients.all[0].device
    match runs[0].clip:
        case ClipByNorm():
            largest = _numbers(
                [run.clip.max_norm for run in runs if isinstance(run.clip, ClipByNorm)], device
            )
            _scale_(gradients, (largest / total_norms(gradients)).clamp(max=1.0).sqrt())
        case ClipByValue():
            largest = _numbers(
                [run.clip.max_value for run in runs if isinstance(run.clip, ClipByValue)], device
            )
            for block in gradients.all:
                limit = along_runs(largest, block, 1)
                block.clamp_(-limit, limit)
        case AGC():
            factors = _numbers([run.clip.factor for run in runs if isinstance(run.clip, AGC)], device)
            pairs = zip(gradients.stacked[:output], values.stacked[:output], strict=True)
            for gradient, value in pairs:
                _shorten_units_(gradient, value, factors)


def _numbers(found: Sequence[float], device: torch.device) -> Tensor:
    return torch.tensor(found, dtype=torch.float64, device=device)


def _scale_(gradients: Blocks, roots: Tensor) -> None:
    """Multiply by the roots, twice: a factor under 1e-38 has few digits left in float32."""
    for block in gradients.all:
        for _ in range(2):
            block.mul_(along_runs(roots, block, 1))


def _shorten_units_(gradient: Tensor, value: Tensor, factors: Tensor) -> None:
    size = _unit_norms(gradient)
    limit = along_runs(factors, size, 0) * _unit_norms(value).clamp(min=1e-3)
    gradient.mul_(torch.where(size > limit, limit / size, 1.0).to(gradient.dtype))


def _unit_norms(stack: Tensor) -> Tensor:
    """As `choices.clipping.unit_norms`, for every run of `(runs, *shape)`."""
    axes = tuple(range(2, stack.ndim)) if stack[0].squeeze().ndim > 1 else tuple(range(1, stack.ndim))
    if not axes:  # a scalar of each run
        return stack.abs().double()
    return torch.linalg.vector_norm(stack, dim=axes, keepdim=True, dtype=torch.float64)


class Descent:
    """Updates the parameters of all runs.

    The update rules are elementwise and read no parameter, so that a step of rate 1 from 0 gives the change
    to be multiplied by each run's own rate.

    Arguments:
        runs: the settings, of one structure.
        values: the parameters.
        decaying: the positions of those that weight decay multiplies.
    """

    def __init__(self, runs: Sequence[Run], values: Blocks, decaying: Sequence[int]) -> None:
        self._runs, self._values = runs, values
        self._optimizer = runs[0].optim
        device = values.all[0].device
        self._decaying = [values.stacked[index] for index in decaying]
        self._decay = _numbers(
            [run.reg.strength if isinstance(run.reg, WeightDecay) else 0.0 for run in runs], device
        )
        self._momentum = _numbers(
            [run.optim.momentum if isinstance(run.optim, SGD) else 0.0 for run in runs], device
        )
        self._change = values.alike()
        self._velocity = bool(self._momentum.any())
        self._state: State = {} if isinstance(self._optimizer, SGD) else self._optimizer.start(values.all)

    def state_of(self, row: int) -> State:
        """The optimizer's memory of one run, in the form that it has alone; views."""
        if isinstance(self._optimizer, SGD):
            return {"velocity": self._of_run(self._change, row)} if self._momentum[row] else {}
        return {name: self._of_run(memory, row) for name, memory in self._state.items()}

    def _of_run(self, memory: Sequence[Tensor], row: int) -> list[Tensor]:
        """One tensor per parameter, out of blocks or of counters that all runs share."""
        kept = [(memory[block], position) for block, position in self._values.places]
        return [found if found.ndim == 0 else found[position, row] for found, position in kept]

    def step_(self, gradients: Blocks, rates: Tensor) -> None:
        """One update; `rates` are the runs' learning rates, `(runs,)`."""
        if self._decay.any():
            for stack in self._decaying:
                stack.mul_(along_runs(1 - rates * self._decay, stack, 0))
        if isinstance(self._optimizer, SGD):
            self._descend(gradients, rates)
            return
        torch._foreach_zero_(self._change)
        self._optimizer.step_(self._change, gradients.all, self._state, 1.0)
        for block, change in zip(self._values.all, self._change, strict=True):
            block.addcmul_(change, along_runs(rates, block, 1))

    def _descend(self, gradients: Blocks, rates: Tensor) -> None:
        """v = momentum v + g, w = w - lr v."""
        blocks = zip(self._values.all, gradients.all, self._change, strict=True)
        for block, gradient, velocity in blocks:
            if self._velocity:
                gradient = velocity.mul_(along_runs(self._momentum, velocity, 1)).add_(gradient)
            block.addcmul_(gradient, along_runs(-rates, block, 1))


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
        steady = all(run.warmup == 0 and isinstance(run.schedule, ConstantLR) for run in runs)
        self._always = self._at(0) if steady else None

    def __call__(self, step: int) -> Tensor:
        """`(runs,)` in float64, of the update after `step` updates."""
        return self._at(step) if self._always is None else self._always

    def _at(self, step: int) -> Tensor:
        rates = [rate_at(run, step, self._total) for run in self._runs]
        return torch.tensor(rates, dtype=torch.float64, device=self._device)
