"""The networks of a stack of runs: a pass, its measurement, clipping and the update, for all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from vanishgrad.choices.model.build import AnyNetwork, blank, build
from vanishgrad.choices.model.recurrent import State
from vanishgrad.choices.regularization import decaying
from vanishgrad.engine.chain import Chain
from vanishgrad.engine.passes import Eager, StackedNetwork, StackedPass, Vmapped, share_noise
from vanishgrad.engine.text import Carried
from vanishgrad.engine.update import Clipper, Descent, FiniteCheck, first_nonfinite_layer
from vanishgrad.measure.history import HistoryOfRun
from vanishgrad.measure.measurement import Measurement
from vanishgrad.modules.dropout import replay
from vanishgrad.modules.norms import stacked_norms
from vanishgrad.modules.packed import Blocks, Number, Storage, move_out
from vanishgrad.modules.weights import weight_matrices
from vanishgrad.run import Run

Prepare = Callable[[int, AnyNetwork], None]


class Trainer:
    """The networks of runs of one structure, one run or many, with their optimizers and measurement.

    Attributes:
        models: the networks, whose values lie side by side in blocks.
        gradients: those of the last pass; 0 for a parameter that the loss does not reach.

    Arguments:
        runs: the settings.
        device: where they compute.
        prepare: changes the initial values of the network in a row in place, on the device.
    """

    def __init__(self, runs: Sequence[Run], device: torch.device, prepare: Prepare | None = None) -> None:
        run, count = runs[0], len(runs)
        self.runs, self.models = runs, [build(run).to(device)]
        template = self.models[0] if count == 1 else blank(run)
        self._storage = Storage(template, count, device)
        for row, one in enumerate(runs):
            if row:
                self.models.append(build(one).to(device))
            self._storage.house(row, self.models[row])
            if prepare is not None:
                prepare(row, self.models[row])
        if count > 1:
            share_noise(template, self.models)
        self.values = self._storage.values
        self.gradients = Blocks([p.detach() for p in template.parameters()], count, device)
        names = [name for name, _ in self.models[0].named_parameters()]
        output = [i for i, name in enumerate(names) if name.startswith(f"{template.output_name}.")]
        self._fixed = [i for i in range(len(names)) if i not in output] if run.pretrain.freeze else []
        self.carried = Carried() if run.data.running_text else None
        self.network = self._network(template, device)
        self.measurement = Measurement(
            template, run.measure == "all", frugal=bool(run.recompute_every),
            runs=None if count == 1 else self.models,
        )  # fmt: skip
        self.finite = FiniteCheck(runs)
        self._clip = Clipper(runs, output[0], device)
        self._descent = Descent(runs, self.values, self._decaying())
        self._left: dict[int, Any] = {}  # the optimizer's memory of runs that have left the stack

    def _network(self, template: AnyNetwork, device: torch.device) -> StackedNetwork:
        run = self.runs[0]
        chain = Chain.of(run, template, self.values, self.gradients, self._fixed)
        if chain is not None:
            return chain
        if len(self.runs) == 1:
            return Eager(run, template, self.gradients, self._fixed, self.carried)
        return Vmapped(self.runs, template, self._storage, self.gradients, device)

    def _decaying(self) -> list[int]:
        """The positions of the parameters that weight decay multiplies."""
        if not any(run.reg.decay for run in self.runs):
            return []
        matrices = weight_matrices(self.models[0])
        places = [parameter.data_ptr() for parameter in self.models[0].parameters()]
        return [places.index(one.data_ptr()) for one in decaying(matrices[-1:] if self._fixed else matrices)]

    def state_of(self, row: int) -> dict[str, Any]:
        """What a checkpoint keeps: weights, the optimizer's memory, and the state carried through a text."""
        optimizer = self._left[row] if row in self._left else self._descent.state_of(row)
        carried = None if self.carried is None else self.carried.leaving
        return {"model": self.models[row].state_dict(), "optimizer": optimizer, "carried": carried}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on, as a run alone, with what another process kept; drift counts from the weights of now."""
        self.models[0].load_state_dict(state["model"])
        for name, mine in self._descent.state_of(0).items():
            kept = state["optimizer"][name]
            for one, value in zip(mine[-len(kept) :], kept, strict=True):  # version 0.1: of what is trained
                one.copy_(value)
        if self.carried is not None:
            self.carried.restore(_moved(state["carried"], self.values.all[0].device))

    def enter(self, first: bool) -> None:
        """Make ready for the next batch of a running text, or with `first` for the beginning."""
        if self.carried is not None:
            self.carried.enter(first)

    def forward_backward(self, inputs: Tensor, targets: Tensor, measured: bool = False) -> StackedPass:
        """A pass on `(runs, batch, ...)`: `gradients` are then those of loss plus penalty."""
        return self.network(inputs, targets, self.measurement if measured else None)

    def total_norms(self) -> Tensor:
        """The L2 norm of all gradients of each run, `(runs,)` in float64."""
        return torch.linalg.vector_norm(stacked_norms(self.gradients.all), dim=0)

    def lost(self, done: StackedPass, active: Sequence[int], norms: Tensor | None) -> list[int]:
        """The active runs whose loss, gradients or weights are not finite; known norms make it quicker."""
        return self.finite(done.losses, self.gradients, self.values, active, norms)

    def clip_(self) -> None:
        """Clip the gradients."""
        self._clip(self.gradients, self.values)

    def update(self, rates: Number) -> None:
        """One step of the optimizer, after the decoupled decay if there is one."""
        self._descent.step_(self.gradients, rates)

    def leave(self, row: int) -> None:
        """Give a run its network and its optimizer's memory for itself, and the others zeros in its place."""
        memory = self._descent.state_of(row)
        self._left[row] = {name: [tensor.clone() for tensor in memory[name]] for name in memory}
        move_out(self.models[row])
        for block in (*self.values.all, *self.gradients.all):
            block[row] = 0

    def measured_again(
        self, row: int, inputs: Tensor, targets: Tensor, everything: bool | None = None
    ) -> Measurement:
        """A measurement of the pass that was just done, done once more by the run alone, without an update.

        In a stack, sums that overflow may come out as NaN for inf.

        Arguments:
            row: of the run.
            inputs, targets: its batch, `(batch, ...)`.
            everything: as in `Measurement`; None for the same as always.
        """
        run, model = self.runs[row], self.models[row]
        full = self.measurement.everything if everything is None else everything
        history = self.measurement.history
        kept = None if history is None else HistoryOfRun(history, row)
        measurement = Measurement(model, full, frugal=bool(run.recompute_every), history=kept)
        gradients = Blocks([p.detach() for p in model.parameters()], 1, inputs.device)
        with replay(model):
            Eager(run, model, gradients, self._fixed, self.carried)(inputs[None], targets[None], measurement)
        return measurement

    def divergence(self, row: int, inputs: Tensor, targets: Tensor, step: int) -> dict[str, Any]:
        """The layer that stopped being finite first, from a full measurement of the same pass done again."""
        rows, _ = self.measured_again(row, inputs, targets, everything=True).rows(step, 0, updated=False)
        matrices = weight_matrices(self.models[row])
        biases = {m.name for m in matrices if m.bias is not None and not m.bias.isfinite().all()}
        return {"step": step} | first_nonfinite_layer(rows, biases)


def _moved(state: State | None, device: torch.device) -> State | None:
    return None if state is None else [tuple(part.to(device) for part in layer) for layer in state]
