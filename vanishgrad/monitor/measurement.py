"""The rows of gradients.csv: one recorded pass, and the weights before and after the step, as numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from vanishgrad.layers import WeightMatrix, weight_matrices
from vanishgrad.monitor.statistics import activation_statistics
from vanishgrad.monitor.statistics import COLUMNS as ACTIVATION_COLUMNS
from vanishgrad.monitor.tape import Activated, Tape
from vanishgrad.norms import norms, row_norms, stacks
from vanishgrad.records import GRADIENT_COLUMNS, Cell

Stacks = list[tuple[list[int], Tensor]]
MEASURED = GRADIENT_COLUMNS[GRADIENT_COLUMNS.index("name") + 1 :]


@dataclass
class Columns:
    """Measured columns on the device, `(matrices,)` each, and which of their entries exist."""

    values: dict[str, Tensor] = field(default_factory=dict)
    exists: dict[str, Sequence[bool]] = field(default_factory=dict)

    def put(self, name: str, values: Tensor, exists: Sequence[bool]) -> None:
        self.values[name], self.exists[name] = values, exists

    def to_host(self, beside: Tensor | None = None) -> tuple[dict[str, list[float | None]], list[float]]:
        """All columns as Python numbers, None where an entry does not exist, and `beside`; one transfer."""
        columns = torch.stack(list(self.values.values()))
        extra = columns.new_zeros(0) if beside is None else beside.to(columns)
        numbers = torch.cat([columns.flatten(), extra]).tolist()
        size = columns.shape[1]
        table = [numbers[start : start + size] for start in range(0, columns.numel(), size)]
        return {
            name: [value if there else None for value, there in zip(row, self.exists[name], strict=True)]
            for name, row in zip(self.values, table, strict=True)
        }, numbers[columns.numel() :]


class Measurement:
    """Measures a model around one training step, and leaves the training as it is.

    Call `open` before the forward pass, `gradients` after the backward pass and before anything changes
    gradients or weights, and `rows` after the update (or without one).

    Arguments:
        model: the module being trained; `weight_drift` counts from its weights now.
        everything: False measures `grad_norm` and `bias_grad_norm` alone.
        every_step: leave the hooks installed between steps, which is cheaper when each one is measured.
    """

    def __init__(self, model: nn.Module, everything: bool = True, every_step: bool = False) -> None:
        self.matrices = weight_matrices(model)
        self._everything, self._every_step = everything, every_step
        self._tape = Tape(model, self.matrices, keep_activations=everything)
        self._start: Stacks = self._weights() if everything else []
        self._start_norms = self._stack_norms(self._start).tolist()
        self._before: Stacks = []
        self._columns = Columns()
        if every_step:
            self._tape.attach()

    def open(self) -> None:
        """Begin to record: the next forward and backward pass is the one to measure."""
        if not self._every_step:
            self._tape.attach()
        self._tape.clear()
        self._tape.armed = True

    def gradients(self) -> None:
        """Measure the gradients of the pass that has just been recorded."""
        self._tape.armed = False
        self._columns = Columns()
        gradients = [self._gradient(index) for index in range(len(self.matrices))]
        self._columns.put("grad_norm", *_sparse_norms(gradients))
        biases = [None if m.bias is None else m.bias.grad for m in self.matrices]
        self._columns.put("bias_grad_norm", *_sparse_norms(biases))
        if self._everything:
            self._columns.put("delta_norm", *self._delta_norms())
            self._before = self._weights()
            self._columns.put("weight_norm", self._stack_norms(self._before), [True] * len(self.matrices))

    def rows(
        self, step: int, epoch: int, updated: bool = True, beside: Tensor | None = None
    ) -> tuple[list[tuple[Cell, ...]], list[float]]:
        """The rows of this step for gradients.csv. Without an update, `update_ratio` is empty.

        All numbers leave the device in one transfer; the vector `beside` travels with them.
        """
        if self._everything:
            self._measure_update(updated)
            self._measure_activations()
        columns, others = self._columns.to_host(beside)
        if "update_ratio" in columns:
            columns["update_ratio"] = _where_positive(columns["update_ratio"], columns["weight_norm"])
        self._before = []
        self._tape.clear() if self._every_step else self._tape.detach()
        empty = [None] * len(self.matrices)
        table = [columns.get(name, empty) for name in MEASURED]
        return [
            (step, epoch, matrix.layer, matrix.name, *values)
            for matrix, *values in zip(self.matrices, *table, strict=True)
        ], others

    def _measure_update(self, updated: bool) -> None:
        after = self._weights() if updated else self._before
        lengths = self._columns.values["weight_norm"]
        change = self._stack_norms(_differences(after, self._before)) / lengths
        self._columns.put("update_ratio", change, [updated] * len(self.matrices))
        starts = torch.tensor(self._start_norms, dtype=torch.float64, device=lengths.device)
        drift = self._stack_norms(_differences(self._before, self._start)) / starts
        self._columns.put("weight_drift", drift, [start != 0 for start in self._start_norms])

    def _measure_activations(self) -> None:
        found = self._activated()
        table = torch.full(
            (len(self.matrices), len(ACTIVATION_COLUMNS)), float("nan"), dtype=torch.float64,
            device=self._columns.values["grad_norm"].device,
        )  # fmt: skip
        if found:
            table[list(found)] = activation_statistics(list(found.values()))
        exists = [index in found for index in range(len(self.matrices))]
        for name, column in zip(ACTIVATION_COLUMNS, table.unbind(1), strict=True):
            self._columns.put(name, column, exists)

    def _gradient(self, index: int) -> Tensor | None:
        """dLoss/dW of a matrix; of the effective weight where that is computed from other parameters."""
        matrix = self.matrices[index]
        if matrix.parametrization is not None:
            return self._tape.weight_gradients.get(index)
        return matrix.weight.grad

    def _delta_norms(self) -> tuple[Tensor, list[bool]]:
        """L2 norms of dLoss/dz over the whole batch, and over every use of a matrix within the pass."""
        per_matrix: list[list[Tensor]] = [[] for _ in self.matrices]
        for output in self._tape.outputs:
            if output.delta is not None:
                per_matrix[output.matrix].append(output.delta)
        return _sparse_norms([_joined(deltas) for deltas in per_matrix])

    def _activated(self) -> dict[int, Activated]:
        """The activation that each matrix's output enters; several uses count as one larger batch."""
        uses: dict[int, list[Activated]] = defaultdict(list)
        for output in self._tape.outputs:
            if output.activated is not None:
                uses[output.matrix].append(output.activated)
        return {index: _as_one(activated) for index, activated in uses.items()}

    def _weights(self) -> Stacks:
        with torch.no_grad():
            return list(stacks([matrix.weight for matrix in self.matrices]))

    def _stack_norms(self, stacked: Stacks) -> Tensor:
        """The norm of every matrix, `(matrices,)`."""
        if not stacked:
            return torch.zeros(0, dtype=torch.float64)
        result = torch.empty(len(self.matrices), dtype=torch.float64, device=stacked[0][1].device)
        for indices, rows in stacked:
            result[indices] = row_norms(rows)
        return result


def _differences(after: Stacks, before: Stacks) -> Stacks:
    return [(indices, new - old) for (indices, new), (_, old) in zip(after, before, strict=True)]


def _where_positive(ratios: list[float | None], lengths: list[float | None]) -> list[float | None]:
    """A change relative to a length of exactly 0 does not exist."""
    return [None if length == 0 else ratio for ratio, length in zip(ratios, lengths, strict=True)]


def _sparse_norms(tensors: Sequence[Tensor | None]) -> tuple[Tensor, list[bool]]:
    """The norm of each tensor, NaN where there is none, and which there are."""
    exists = [tensor is not None for tensor in tensors]
    there = [tensor for tensor in tensors if tensor is not None]
    if len(there) == len(tensors):
        return norms(there), exists
    found = norms(there)
    result = found.new_full((len(tensors),), float("nan"))
    result[[index for index, one in enumerate(exists) if one]] = found
    return result, exists


def _joined(tensors: Sequence[Tensor]) -> Tensor | None:
    """All elements of the tensors as one; None for no tensors."""
    if len(tensors) <= 1:
        return tensors[0] if tensors else None
    return torch.cat([tensor.flatten() for tensor in tensors])


def _as_one(uses: Sequence[Activated]) -> Activated:
    if len(uses) == 1:
        return uses[0]
    inputs = torch.cat([use.inputs for use in uses])
    return Activated(uses[0].module, inputs, torch.cat([use.outputs for use in uses]))
