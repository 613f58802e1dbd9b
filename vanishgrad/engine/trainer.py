"""One training step after the other, measured without being changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vanishgrad.choices.model.build import AnyNetwork, build
from vanishgrad.choices.model.recurrent import State
from vanishgrad.choices.regularization import NoReg, WeightDecay, decaying
from vanishgrad.engine.chain import Chain
from vanishgrad.engine.text import Carried
from vanishgrad.engine.update import FiniteCheck, first_nonfinite
from vanishgrad.measure.measurement import Measurement
from vanishgrad.modules.dropout import replay
from vanishgrad.modules.packed import side_by_side_
from vanishgrad.modules.weights import weight_matrices
from vanishgrad.run import Run


@dataclass(frozen=True)
class BatchPass:
    """One forward and backward pass on a batch.

    `gradients` are those of every parameter, zero for one that the loss does not reach.
    """

    loss: Tensor
    penalty: Tensor | None
    outputs: Tensor
    targets: Tensor
    gradients: list[Tensor]


class Trainer:
    """A network, its optimizer and its measurements.

    Arguments:
        run: the setting.
        device: where it computes.
        prepare: changes the network's initial values in place, on the device.
    """

    def __init__(
        self, run: Run, device: torch.device, prepare: Callable[[AnyNetwork], None] | None = None
    ) -> None:
        self.run = run
        self.model = build(run)
        if device.type != "cpu":
            side_by_side_(self.model.to(device).parameters())
        if prepare is not None:
            prepare(self.model)
        self.matrices = weight_matrices(self.model)
        names = [name for name, _ in self.model.named_parameters()]
        self.parameters = list(self.model.parameters())
        self._values = [parameter.detach() for parameter in self.parameters]
        output = [i for i, name in enumerate(names) if name.startswith(f"{self.model.output_name}.")]
        fixed = run.pretrain.freeze
        self.output = output[0]
        self._trained = output if fixed else list(range(len(names)))
        self._frozen = sorted(set(range(len(names))) - set(self._trained))
        self.decaying = decaying(self.matrices[-1:] if fixed else self.matrices)
        decay = 1 - run.rate * run.reg.strength if isinstance(run.reg, WeightDecay) else 1.0
        self._finite = FiniteCheck(run.rate, decay)
        free = isinstance(run.reg, NoReg | WeightDecay)  # of a penalty
        self._chain = Chain.of(self.model) if free and run.model.plain_layers else None
        self.optimizer_state = run.optim.start([self._values[i] for i in self._trained])
        self.carried = Carried() if run.data.running_text else None
        self.measurement = self._measurement(run.measure == "all")

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: weights, the optimizer's memory, and the state carried through a text."""
        carried = None if self.carried is None else self.carried.leaving
        return {"model": self.model.state_dict(), "optimizer": self.optimizer_state, "carried": carried}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on with what another process kept; weight drift still counts from the weights of now."""
        self.model.load_state_dict(state["model"])
        for name, mine in self.optimizer_state.items():
            for one, kept in zip(mine, state["optimizer"][name], strict=True):
                one.copy_(kept)
        if self.carried is not None:
            self.carried.restore(_moved(state["carried"], self._values[0].device))

    def enter(self, first: bool) -> None:
        """Make ready for the next batch of a running text, or with `first` for the beginning."""
        if self.carried is not None:
            self.carried.enter(first)

    def forward_backward(
        self, inputs: Tensor, targets: Tensor, measurement: Measurement | None = None
    ) -> BatchPass:
        """The gradients of loss plus penalty, measured if a measurement is given."""
        if self._chain is not None:
            return self._written_out(self._chain, inputs, targets, measurement)
        with nullcontext() if measurement is None else measurement.recording():
            outputs = self.model(inputs) if self.carried is None else self.carried(self.model, inputs)
            penalty = self.run.reg.penalty(matrix.weight for matrix in self.matrices)
        loss = self.run.criterion(outputs, targets)
        total = loss if penalty is None else loss + penalty
        beside: list[Any] = [] if measurement is None else measurement.recorded()
        found: Sequence[Tensor | None] = torch.autograd.grad(
            total, [*self.parameters, *beside], allow_unused=True
        )
        gradients = self._received(found[: len(self.parameters)])
        if measurement is not None:
            measurement.gradients(gradients, found[len(self.parameters) :])
        return BatchPass(
            loss.detach(), None if penalty is None else penalty.detach(), outputs.detach(), targets,
            self._filled(gradients),
        )  # fmt: skip

    def _written_out(
        self, chain: Chain, inputs: Tensor, targets: Tensor, measurement: Measurement | None
    ) -> BatchPass:
        """The same for a plain perceptron, without autograd."""
        record = measurement is not None and measurement.everything
        done = chain(inputs, targets, self.run.criterion, record)
        for index in self._frozen:
            done.gradients[index].zero_()
        if measurement is not None:
            measurement.take(done.recorded)
            measurement.gradients(done.gradients)
        return BatchPass(done.loss, None, done.outputs, targets, done.gradients)

    def _received(self, gradients: Sequence[Tensor | None]) -> list[Tensor | None]:
        """The gradients as they count: 0 for parameters that are frozen."""
        given = list(gradients)
        for index in self._frozen:
            given[index] = torch.zeros_like(self._values[index])
        return given

    def _filled(self, gradients: Sequence[Tensor | None]) -> list[Tensor]:
        pairs = zip(gradients, self._values, strict=True)
        return [torch.zeros_like(value) if gradient is None else gradient for gradient, value in pairs]

    def finite(self, done: BatchPass, grad_norm: Tensor | None) -> bool:
        """Whether loss, gradients and weights are all finite; a known global norm makes it quicker."""
        return self._finite(done.loss, done.gradients, self._values, grad_norm)

    def clip_(self, gradients: list[Tensor]) -> None:
        self.run.clip.clip_(gradients, self._values, self.output)

    def update(self, gradients: list[Tensor], lr: float) -> None:
        """One step of the optimizer, after the decoupled decay if there is one."""
        if isinstance(self.run.reg, WeightDecay):
            torch._foreach_mul_(self.decaying, 1 - lr * self.run.reg.strength)
        values = [self._values[i] for i in self._trained] if self._frozen else self._values
        received = [gradients[i] for i in self._trained] if self._frozen else gradients
        self.run.optim.step_(values, received, self.optimizer_state, lr)

    def divergence(self, inputs: Tensor, targets: Tensor, step: int) -> dict[str, Any]:
        """The layer that stopped being finite first, from a full measurement of the same pass done again."""
        measurement = self._measurement(everything=True)
        self.measure_again(measurement, inputs, targets)
        rows, _ = measurement.rows(step, 0, updated=False)
        biases = {m.name for m in self.matrices if m.bias is not None and not m.bias.isfinite().all()}
        return {"step": step} | first_nonfinite(rows, biases)

    def _measurement(self, everything: bool) -> Measurement:
        return Measurement(self.model, everything, frugal=bool(self.run.recompute_every))

    def measure_again(self, measurement: Measurement, inputs: Tensor, targets: Tensor) -> None:
        """Measure a pass that has been done already, by doing it once more without an update."""
        with replay(self.model):
            self.forward_backward(inputs, targets, measurement)


def _moved(state: State | None, device: torch.device) -> State | None:
    return None if state is None else [tuple(part.to(device) for part in layer) for layer in state]
