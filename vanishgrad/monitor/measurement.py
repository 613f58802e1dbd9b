"""The rows of gradients.csv: one recorded pass, and the weights before and after the step, as numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from vanishgrad.layers import weight_matrices
from vanishgrad.monitor.columns import Columns
from vanishgrad.monitor.recorded import Activated, Recorded
from vanishgrad.monitor.residual_terms import blocks_of, residual_rows
from vanishgrad.monitor.statistics import COLUMNS as ACTIVATION_COLUMNS
from vanishgrad.monitor.statistics import ActivationStatistics
from vanishgrad.monitor.tape import Pass, Tape
from vanishgrad.monitor.through_time import gate_rows, time_rows
from vanishgrad.monitor.weights import WeightHistory
from vanishgrad.norms import SteadyNorms, norms
from vanishgrad.records import GATES_FILE, GRADIENT_COLUMNS, RESIDUAL_FILE, TIME_GRADIENTS_FILE, Cell

MEASURED = GRADIENT_COLUMNS[GRADIENT_COLUMNS.index("name") + 1 :]


class Measurement:
    """Measures a model around one training step, and leaves the training as it is.

    Run the forward pass inside `recording`, call `gradients` after the backward pass and before anything
    changes gradients or weights, and `rows` after the update (or without one). From `gradients` on,
    `grad_norm` is the global norm over all parameters, a float64 scalar on their device.

    Arguments:
        model: the module being trained; `weight_drift` counts from its weights now.
        everything: False measures `grad_norm` and `bias_grad_norm` alone.
        listen: receive gradients by hooks, because the backward pass is somebody else's.
        frugal: keep no layer's activations and gradients longer than the pass needs them, for a model
            that computes its activations again in the backward pass.
    """

    def __init__(
        self, model: nn.Module, everything: bool = True, listen: bool = False, frugal: bool = False
    ) -> None:
        self.matrices = weight_matrices(model)
        self.grad_norm = torch.zeros((), dtype=torch.float64)
        self._activation_statistics = ActivationStatistics()
        reduce = self._statistics_of if frugal else None
        self.tape = Tape(model, self.matrices, keep_activations=everything, listen=listen, reduce=reduce)
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        indices = {id(parameter): index for index, parameter in enumerate(parameters)}
        self._weight_of = _entries(indices, [None if m.parametrization else m.weight for m in self.matrices])
        self._bias_of = _entries(indices, [matrix.bias for matrix in self.matrices])
        self.everything = everything
        self._steady, self._written_out = SteadyNorms(), False
        self._weights = WeightHistory(self.matrices) if everything else None
        self._all = {index: index for index in range(len(self.matrices))}
        self._columns = Columns(len(self.matrices))
        self._blocks = blocks_of(model)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Inside, the forward pass is recorded, in place of an earlier one."""
        self.tape.clear()
        self.tape.start()
        try:
            yield
        finally:
            self.tape.stop()

    def recorded(self) -> list[GradientEdge]:
        """What the forward pass recorded whose gradients `gradients` needs beside those of the parameters."""
        return [awaited.edge for awaited in self.tape.recorded.awaited if awaited.edge is not None]

    def take(self, recorded: Iterable[Recorded]) -> None:
        """Take what a written-out pass recorded, gradients included, in place of an earlier pass."""
        self.tape.clear()
        self.tape.recorded.outputs.extend(recorded)
        self._written_out = True

    def adopt(self, recorded: Pass) -> None:
        """Take what somebody else recorded, gradients included, in place of an earlier pass."""
        self.tape.clear()
        self.tape.recorded = recorded

    @torch.no_grad()
    def gradients(
        self, of_parameters: Sequence[Tensor | None], of_recorded: Sequence[Tensor | None] | None = None
    ) -> None:
        """Measure the gradients of the pass that has just been recorded.

        Arguments:
            of_parameters: for every trainable parameter; None for one that the loss does not reach.
            of_recorded: for every tensor of `recorded`; None when the measurement listens for them itself.
        """
        if of_recorded is not None:
            asked = [awaited for awaited in self.tape.recorded.awaited if awaited.edge is not None]
            for awaited, gradient in zip(asked, of_recorded, strict=True):
                awaited.receive(gradient)
        self._columns = Columns(len(self.matrices))
        self._measure_gradients(of_parameters)
        if self._weights is not None:
            lengths, drift = self._weights.keep()
            self._columns.put("weight_norm", lengths, self._all)
            self._columns.put("weight_drift", drift, self._weights.started)
            self._measure_activations()

    @torch.no_grad()
    def rows(
        self, step: int, epoch: int, updated: bool = True, beside: Tensor | None = None
    ) -> tuple[list[tuple[Cell, ...]], list[float]]:
        """The rows of this step for gradients.csv. Without an update, `update_ratio` is empty.

        All numbers leave the device in one transfer; the vector `beside` travels with them.
        """
        if self._weights is not None and updated:
            self._columns.put("update_ratio", self._weights.change(), self._all)
        columns, others = self._columns.to_host(beside)
        if "update_ratio" in columns:
            columns["update_ratio"] = _where_nonzero(columns["update_ratio"], columns["weight_norm"])
        self.tape.clear()
        empty = [None] * len(self.matrices)
        table = [columns.get(name, empty) for name in MEASURED]
        return [
            (step, epoch, matrix.layer, matrix.name, *values)
            for matrix, *values in zip(self.matrices, *table, strict=True)
        ], others

    @torch.no_grad()
    def beside(self, step: int) -> dict[str, list[tuple[Cell, ...]]]:
        """The rows of this step for the tables that not every run has, by file name.

        Call it between `gradients` and `rows`, which forgets the pass.
        """
        recorded = self.tape.recorded
        return {
            TIME_GRADIENTS_FILE: time_rows(step, recorded.timed),
            GATES_FILE: gate_rows(step, recorded.timed),
            RESIDUAL_FILE: residual_rows(step, recorded.terms, self._blocks),
        }

    def _measure_gradients(self, gradients: Sequence[Tensor | None]) -> None:
        """Norms of the gradients of parameters, effective weights and linear outputs, all at once."""
        reached = [gradient for gradient in gradients if gradient is not None]
        weights = _by_matrix(self.tape.recorded.weights)
        deltas = _by_matrix(self.tape.recorded.outputs)
        effective = [sum(uses[1:], uses[0]) for uses in weights.values()]
        measured = self._steady if self._written_out else norms
        sizes = measured([*reached, *effective, *map(_joined, deltas.values())])
        self.grad_norm = torch.linalg.vector_norm(sizes[: len(reached)])
        if len(reached) == len(gradients) and not weights:  # as always but for unusual models
            own, biases = self._weight_of, self._bias_of
        else:
            place = _places(index for index, gradient in enumerate(gradients) if gradient is not None)
            own = {matrix: place[index] for matrix, index in self._weight_of.items() if index in place}
            own |= {matrix: len(reached) + number for matrix, number in _places(weights).items()}
            biases = {matrix: place[index] for matrix, index in self._bias_of.items() if index in place}
        self._columns.put("grad_norm", sizes, own)
        self._columns.put("bias_grad_norm", sizes, biases)
        first, lengths = len(reached) + len(weights), _lengths(self.tape.recorded.outputs)
        if lengths:
            self._columns.put("delta_norm", torch.stack(list(lengths.values())), _places(lengths))
        else:
            self._columns.put("delta_norm", sizes[first:], _places(deltas))

    def _measure_activations(self) -> None:
        """Statistics of the activation that each output enters; several uses count as one larger batch."""
        uses: dict[int, list[Activated]] = defaultdict(list)
        taken: dict[int, Tensor] = {}
        for output in self.tape.recorded.outputs:
            if isinstance(output.activated, Activated):
                uses[output.matrix].append(output.activated)
            elif output.activated is not None:
                taken[output.matrix] = output.activated
        found = self._activation_statistics([_as_one(activated) for activated in uses.values()])
        table = torch.cat([found, *taken.values()], dim=1)
        for name, column in zip(ACTIVATION_COLUMNS, table, strict=True):
            self._columns.put(name, column, _places([*uses, *taken]))

    @torch.no_grad()
    def _statistics_of(self, activated: Activated) -> Tensor:
        """The statistics of one activation, `(4, 1)`."""
        return self._activation_statistics([activated])


def _lengths(recorded: Iterable[Recorded]) -> dict[int, Tensor]:
    """Norms of gradients that have been let go of, one for every matrix."""
    uses: dict[int, list[Tensor]] = defaultdict(list)
    for one in recorded:
        if one.awaited.length is not None:
            uses[one.matrix].append(one.awaited.length)
    return {matrix: torch.linalg.vector_norm(torch.stack(lengths)) for matrix, lengths in uses.items()}


def _entries(indices: dict[int, int], tensors: Sequence[Tensor | None]) -> dict[int, int]:
    """Which parameter each of the tensors is, by position, for those that are parameters."""
    return {place: indices[id(tensor)] for place, tensor in enumerate(tensors) if id(tensor) in indices}


def _places(keys: Iterable[int]) -> dict[int, int]:
    """The position of each key."""
    return {key: place for place, key in enumerate(keys)}


def _by_matrix(recorded: Iterable[Recorded]) -> dict[int, list[Tensor]]:
    """The gradients that have arrived, one for every use of a matrix within the pass."""
    uses: dict[int, list[Tensor]] = defaultdict(list)
    for one in recorded:
        if one.gradient is not None:
            uses[one.matrix].append(one.gradient)
    return uses


def _where_nonzero(ratios: list[float | None], lengths: list[float | None]) -> list[float | None]:
    """A change relative to a length of exactly 0 does not exist."""
    return [None if length == 0 else ratio for ratio, length in zip(ratios, lengths, strict=True)]


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    """All elements of the tensors as one."""
    return tensors[0] if len(tensors) == 1 else torch.cat([tensor.flatten() for tensor in tensors])


def _as_one(uses: Sequence[Activated]) -> Activated:
    if len(uses) == 1:
        return uses[0]
    inputs = [use.inputs for use in uses if use.inputs is not None]
    outputs = torch.cat([use.outputs for use in uses])
    return Activated(uses[0].module, outputs, torch.cat(inputs) if inputs else None)
