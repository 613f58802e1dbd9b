"""One training step after the other, measured without being changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vanishgrad.choices.regularization import WeightDecay, decaying
from vanishgrad.layers import weight_matrices
from vanishgrad.models import build
from vanishgrad.models.replay import replay
from vanishgrad.monitor.measurement import Measurement
from vanishgrad.records import Cell
from vanishgrad.run import Run
from vanishgrad.training.finite import all_finite, first_nonfinite

GradientRows = list[tuple[Cell, ...]]


@dataclass(frozen=True)
class Pass:
    """One forward and backward pass on a batch. `outputs` and `targets` stay on the device."""

    loss: Tensor
    penalty: Tensor | None
    outputs: Tensor
    targets: Tensor


class Trainer:
    """A network, its optimizer and its measurements.

    Arguments:
        run: the setting.
        device: where it computes.
    """

    def __init__(self, run: Run, device: torch.device) -> None:
        self.run, self.device = run, device
        self.model = build(run).to(device)
        self.matrices = weight_matrices(self.model)
        self._named = list(self.model.named_parameters())
        self.parameters = [parameter for _, parameter in self._named]
        self._values = [parameter.detach() for parameter in self.parameters]
        self._output = next(
            index for index, (name, _) in enumerate(self._named) if name.startswith(self.model.output_name)
        )
        self._decaying = decaying(self.matrices)
        self.optimizer_state = run.optim.start(self._values)
        self.measurement = Measurement(self.model, run.measure == "all", run.log_every == 1)

    def forward_backward(self, inputs: Tensor, targets: Tensor) -> Pass:
        """Gradients of loss plus penalty, in the parameters' `grad`."""
        for parameter in self.parameters:
            parameter.grad = None
        outputs = self.model(inputs)
        loss = self.run.criterion(outputs, targets)
        penalty = self.run.reg.penalty(matrix.weight for matrix in self.matrices)
        (loss if penalty is None else loss + penalty).backward()
        return Pass(loss.detach(), None if penalty is None else penalty.detach(), outputs.detach(), targets)

    def gradients(self) -> list[Tensor]:
        """The gradient of every parameter; zero for one that the loss does not reach."""
        return [
            torch.zeros_like(value) if parameter.grad is None else parameter.grad
            for parameter, value in zip(self.parameters, self._values, strict=True)
        ]

    def finite(self, done: Pass, gradients: Sequence[Tensor]) -> bool:
        """Whether loss, gradients and weights are."""
        return all_finite(done.loss, [*gradients, *self._values])

    def clip_(self, gradients: list[Tensor]) -> None:
        self.run.clip.clip_(gradients, self._values, self._output)

    def update(self, gradients: list[Tensor], lr: float) -> None:
        """One step of the optimizer, after the decoupled decay if there is one."""
        if isinstance(self.run.reg, WeightDecay):
            torch._foreach_mul_(self._decaying, 1 - lr * self.run.reg.strength)
        self.run.optim.step_(self._values, gradients, self.optimizer_state, lr)

    def divergence(self, inputs: Tensor, targets: Tensor, step: int) -> dict[str, Any]:
        """The layer that stopped being finite first, from a full measurement of the same pass done again."""
        rows = self.measured_again(Measurement(self.model), inputs, targets, step, 0)
        return {"step": step} | first_nonfinite(rows)

    def measured_again(
        self, measurement: Measurement, inputs: Tensor, targets: Tensor, step: int, epoch: int
    ) -> GradientRows:
        """The rows of a pass that has been done already, by doing it once more without an update."""
        with replay(self.model):
            measurement.open()
            self.forward_backward(inputs, targets)
        measurement.gradients()
        return measurement.rows(step, epoch, updated=False)[0]
