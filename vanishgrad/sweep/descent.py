"""The optimizer's step in a stack: every run has a learning rate of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vanishgrad.choices.optimizer import SGD, State
from vanishgrad.choices.regularization import WeightDecay
from vanishgrad.run import Run
from vanishgrad.sweep.storage import Blocks, along_runs


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


def _numbers(found: Sequence[float], device: torch.device) -> Tensor:
    return torch.tensor(found, dtype=torch.float64, device=device)
