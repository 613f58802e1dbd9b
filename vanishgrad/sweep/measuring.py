"""The rows of gradients.csv of all runs in a stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from vanishgrad.choices.model import CNN, MLP
from vanishgrad.layers import weight_matrices
from vanishgrad.models.build import AnyNetwork
from vanishgrad.monitor.measurement import MEASURED, Measurement
from vanishgrad.monitor.of_run import Own, of_run
from vanishgrad.monitor.recorded import Activated
from vanishgrad.monitor.residual_terms import Terms, blocks_of, residual_rows
from vanishgrad.monitor.statistics import COLUMNS as ACTIVATION_COLUMNS
from vanishgrad.monitor.statistics import ActivationStatistics
from vanishgrad.monitor.tape import Pass
from vanishgrad.records import RESIDUAL_FILE, Cell
from vanishgrad.run import Run
from vanishgrad.sweep.stacked_history import StackedHistory
from vanishgrad.sweep.storage import Blocks, lengths

Rows = list[tuple[Cell, ...]]
Tables = dict[str, Rows]  # by file name


class Measuring(Protocol):
    """Measures a recorded pass of all runs: `gradients` and `beside` before the update, then `rows`.

    From `gradients` on, `grad_norms` are the global norms, `(runs,)` in float64.
    """

    grad_norms: Tensor

    def gradients(self, recorded: Pass, gradients: Blocks, active: Sequence[int]) -> None:
        """Take a pass and the gradients that it gave."""
        ...

    def beside(self, step: int, active: Sequence[int]) -> Mapping[int, Tables]:
        """The rows for the tables that not every run has; empty where there are none."""
        ...

    def rows(self, step: int, epoch: int, updated: bool, active: Sequence[int]) -> Mapping[int, Rows]:
        """The rows of each active run, by its place."""
        ...


class OneByOne:
    """Each run by its own measurement, with its share of what was recorded; serves any network.

    Arguments:
        measurements: of the runs.
        own: of each run, its module for each of the one that was called.
    """

    def __init__(self, measurements: Sequence[Measurement], own: Sequence[Own]) -> None:
        self._measurements, self._own = measurements, own
        self.grad_norms = torch.zeros(len(own), dtype=torch.float64)

    def gradients(self, recorded: Pass, gradients: Blocks, active: Sequence[int]) -> None:
        for row in active:
            self._measurements[row].adopt(of_run(recorded, row, self._own[row]))
            self._measurements[row].gradients(gradients.of_run(row))
        self.grad_norms = torch.stack([measurement.grad_norm for measurement in self._measurements])

    def beside(self, step: int, active: Sequence[int]) -> dict[int, Tables]:
        return {row: self._measurements[row].beside(step) for row in active}

    def rows(self, step: int, epoch: int, updated: bool, active: Sequence[int]) -> dict[int, Rows]:
        return {row: self._measurements[row].rows(step, epoch, updated)[0] for row in active}


class Together:
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
        self._columns: dict[str, Column] = {}
        self.grad_norms = torch.zeros(0, dtype=torch.float64)
        self._terms: list[Terms] = []
        self._residual_blocks = blocks_of(template)
        self._same = {module: module for module in template.modules()}

    @classmethod
    def of(cls, run: Run, template: AnyNetwork, values: Blocks) -> Together | None:
        """None for networks that it does not serve."""
        own = isinstance(run.model, MLP | CNN)
        direct = all(matrix.parametrization is None for matrix in weight_matrices(template))
        alike = not any(isinstance(module, nn.PReLU) for module in template.modules())  # each has its slopes
        return cls(template, values, run.measure == "all") if own and direct and alike else None

    @torch.no_grad()
    def gradients(self, recorded: Pass, gradients: Blocks, active: Sequence[int]) -> None:
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
            "grad_norm": Column(of_parameters[self._weights], range(len(self._weights))),
            "bias_grad_norm": Column(of_parameters[list(self._biases.values())], list(self._biases)),
            "delta_norm": Column(sizes[count:], list(deltas)),
        }
        if self._history is not None:
            norms, drift, unknown = self._history.keep()
            self._columns["weight_norm"] = Column(norms, range(len(norms)))
            self._columns["weight_drift"] = Column(drift, range(len(norms)), unknown)
            self._measure_activations(recorded)

    def beside(self, step: int, active: Sequence[int]) -> dict[int, Tables]:
        if not self._terms:
            return {}
        shares = {row: of_run(Pass(terms=self._terms), row, self._same).terms for row in active}
        blocks = self._residual_blocks
        return {row: {RESIDUAL_FILE: residual_rows(step, terms, blocks)} for row, terms in shares.items()}

    def _measure_activations(self, recorded: Pass) -> None:
        found = {
            one.matrix: one.activated for one in recorded.outputs if isinstance(one.activated, Activated)
        }
        tables = [self._statistics.of_rows(one.module, one.inputs, one.outputs) for one in found.values()]
        if tables:
            for name, column in zip(ACTIVATION_COLUMNS, torch.stack(tables, dim=1), strict=True):
                self._columns[name] = Column(column, list(found))

    @torch.no_grad()
    def rows(self, step: int, epoch: int, updated: bool, active: Sequence[int]) -> dict[int, Rows]:
        if self._history is not None and updated:
            ratio, unknown = self._history.change()
            self._columns["update_ratio"] = Column(ratio, range(len(self._matrices)), unknown)
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
class Column:
    """A column of all runs.

    Arguments:
        values: `(entries, runs)`.
        matrices: the weight matrix of each entry.
        missing: which entries do not exist, in the same form; None where all do.
    """

    values: Tensor
    matrices: Sequence[int]
    missing: Tensor | None = None
