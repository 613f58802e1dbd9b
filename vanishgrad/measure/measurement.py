"""The rows of gradients.csv: one recorded pass, and the weights before and after the step, as numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from vanishgrad.choices.model.build import AnyNetwork
from vanishgrad.measure.extra_tables import Terms, blocks_of, gate_rows, residual_rows, time_rows
from vanishgrad.measure.history import StackedHistory, WeightHistory
from vanishgrad.measure.recorded import Activated, Recorded
from vanishgrad.measure.statistics import COLUMNS as ACTIVATION_COLUMNS
from vanishgrad.measure.statistics import ActivationStatistics, Columns
from vanishgrad.measure.tape import Own, RecordedPass, Tape, of_run
from vanishgrad.modules.norms import SteadyNorms, norms
from vanishgrad.modules.packed import Blocks, lengths
from vanishgrad.modules.weights import weight_matrices
from vanishgrad.records import GATES_FILE, GRADIENT_COLUMNS, RESIDUAL_FILE, TIME_GRADIENTS_FILE, Cell
from vanishgrad.run import Run

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

    def adopt(self, recorded: RecordedPass) -> None:
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


Rows = list[tuple[Cell, ...]]
Tables = dict[str, Rows]  # by file name


class Measuring(Protocol):
    """Measures a recorded pass of all runs: `gradients` and `beside` before the update, then `rows`.

    From `gradients` on, `grad_norms` are the global norms, `(runs,)` in float64.
    """

    grad_norms: Tensor

    def gradients(self, recorded: RecordedPass, gradients: Blocks, active: Sequence[int]) -> None:
        """Take a pass and the gradients that it gave."""
        ...

    def beside(self, step: int, active: Sequence[int]) -> Mapping[int, Tables]:
        """The rows for the tables that not every run has; empty where there are none."""
        ...

    def rows(self, step: int, epoch: int, updated: bool, active: Sequence[int]) -> Mapping[int, Rows]:
        """The rows of each active run, by its place."""
        ...


class SeparateMeasurement:
    """Each run by its own measurement, with its share of what was recorded; serves any network.

    Arguments:
        measurements: of the runs.
        own: of each run, its module for each of the one that was called.
    """

    def __init__(self, measurements: Sequence[Measurement], own: Sequence[Own]) -> None:
        self._measurements, self._own = measurements, own
        self.grad_norms = torch.zeros(len(own), dtype=torch.float64)

    def gradients(self, recorded: RecordedPass, gradients: Blocks, active: Sequence[int]) -> None:
        for row in active:
            self._measurements[row].adopt(of_run(recorded, row, self._own[row]))
            self._measurements[row].gradients(gradients.of_run(row))
        self.grad_norms = torch.stack([measurement.grad_norm for measurement in self._measurements])

    def beside(self, step: int, active: Sequence[int]) -> dict[int, Tables]:
        return {row: self._measurements[row].beside(step) for row in active}

    def rows(self, step: int, epoch: int, updated: bool, active: Sequence[int]) -> dict[int, Rows]:
        return {row: self._measurements[row].rows(step, epoch, updated)[0] for row in active}


class StackedMeasurement:
    """All runs by one operation per layer, where every weight is a parameter that a pass uses once.

    The sums are those of `Measurement`, with a run where that has a layer.

    Arguments:
        template: a network like each of the runs'.
        values: the parameters of all runs, as they are initially.
        everything: False measures `grad_norm` and `bias_grad_norm` alone.
    """

    def __init__(self, template: AnyNetwork, values: Blocks, everything: bool) -> None:
        self._matrices = weight_matrices(template)
        position = {id(parameter): index for index, parameter in enumerate(template.parameters())}
        self._weights = [position[id(matrix.weight)] for matrix in self._matrices]
        self._biases = {m: position[id(x.bias)] for m, x in enumerate(self._matrices) if x.bias is not None}
        self._statistics = ActivationStatistics()
        self._history = StackedHistory(values, self._weights) if everything else None
        self._columns: dict[str, StackedColumn] = {}
        self.grad_norms = torch.zeros(0, dtype=torch.float64)
        self._terms: list[Terms] = []
        self._residual_blocks = blocks_of(template)
        self._same = {module: module for module in template.modules()}

    @classmethod
    def of(cls, run: Run, template: AnyNetwork, values: Blocks) -> StackedMeasurement | None:
        """None for networks that it does not serve."""
        own = run.model.feedforward
        direct = all(matrix.parametrization is None for matrix in weight_matrices(template))
        alike = not any(isinstance(module, nn.PReLU) for module in template.modules())  # each has its slopes
        return cls(template, values, run.measure == "all") if own and direct and alike else None

    @torch.no_grad()
    def gradients(self, recorded: RecordedPass, gradients: Blocks, active: Sequence[int]) -> None:
        deltas = {
            one.matrix: one.gradient.movedim(one.awaited.axis or 0, 0)  # (runs, batch, ...)
            for one in recorded.outputs
            if one.gradient is not None
        }
        count = sum(map(len, gradients.all))
        sizes = lengths([*gradients.all, *(delta.unsqueeze(0) for delta in deltas.values())])
        of_parameters = gradients.in_order(sizes[:count])
        self.grad_norms = torch.linalg.vector_norm(of_parameters, dim=0)
        self._terms = recorded.terms
        self._columns = {
            "grad_norm": StackedColumn(of_parameters[self._weights], range(len(self._weights))),
            "bias_grad_norm": StackedColumn(of_parameters[list(self._biases.values())], list(self._biases)),
            "delta_norm": StackedColumn(sizes[count:], list(deltas)),
        }
        if self._history is not None:
            norms, drift, unknown = self._history.keep()
            self._columns["weight_norm"] = StackedColumn(norms, range(len(norms)))
            self._columns["weight_drift"] = StackedColumn(drift, range(len(norms)), unknown)
            self._measure_activations(recorded)

    def beside(self, step: int, active: Sequence[int]) -> dict[int, Tables]:
        if not self._terms:
            return {}
        shares = {row: of_run(RecordedPass(terms=self._terms), row, self._same).terms for row in active}
        blocks = self._residual_blocks
        return {row: {RESIDUAL_FILE: residual_rows(step, terms, blocks)} for row, terms in shares.items()}

    def _measure_activations(self, recorded: RecordedPass) -> None:
        found = {
            one.matrix: one.activated for one in recorded.outputs if isinstance(one.activated, Activated)
        }
        tables = [self._statistics.of_rows(one.module, one.inputs, one.outputs) for one in found.values()]
        if tables:
            for name, column in zip(ACTIVATION_COLUMNS, torch.stack(tables, dim=1), strict=True):
                self._columns[name] = StackedColumn(column, list(found))

    @torch.no_grad()
    def rows(self, step: int, epoch: int, updated: bool, active: Sequence[int]) -> dict[int, Rows]:
        if self._history is not None and updated:
            ratio, unknown = self._history.change()
            self._columns["update_ratio"] = StackedColumn(ratio, range(len(self._matrices)), unknown)
        numbers = self._to_host()
        heads = [(step, epoch, matrix.layer, matrix.name) for matrix in self._matrices]
        layout = list(zip(heads, self._layout(), strict=True))
        return {
            row: [
                (*head, *[None if i is None else numbers[row][i] for i in places]) for head, places in layout
            ]
            for row in active
        }

    def _to_host(self) -> list[list[float | None]]:
        """Of each run the entries of all columns, one behind the other; one transfer."""
        columns = self._columns.values()
        numbers: list[list[float | None]] = torch.cat(
            [column.values.double() for column in columns]
        ).T.tolist()
        start = 0
        for column in columns:
            if column.missing is not None:
                for entry, row in column.missing.nonzero().tolist():
                    numbers[row][start + entry] = None
            start += len(column.values)
        return numbers

    def _layout(self) -> list[list[int | None]]:
        """For each matrix where its entries are, in the order of the columns of the table."""
        places: dict[str, dict[int, int]] = {}
        start = 0
        for name, column in self._columns.items():
            places[name] = {matrix: start + entry for entry, matrix in enumerate(column.matrices)}
            start += len(column.values)
        return [[places.get(name, {}).get(m) for name in MEASURED] for m in range(len(self._matrices))]


@dataclass(frozen=True)
class StackedColumn:
    """A column of all runs.

    Arguments:
        values: `(entries, runs)`.
        matrices: the weight matrix of each entry.
        missing: which entries do not exist, in the same form; None where all do.
    """

    values: Tensor
    matrices: Sequence[int]
    missing: Tensor | None = None
