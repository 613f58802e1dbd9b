"""The rows of gradients.csv: one recorded pass, and the weights before and after the step, as numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from vanishgrad.measure.extra_tables import blocks_of, gate_rows, residual_rows, time_rows
from vanishgrad.measure.history import HistoryOfRun, WeightHistory
from vanishgrad.measure.recorded import Activated, Recorded
from vanishgrad.measure.statistics import COLUMNS as ACTIVATION_COLUMNS
from vanishgrad.measure.statistics import ActivationStatistics, Columns
from vanishgrad.measure.tape import RecordedPass, Tape, of_run
from vanishgrad.modules.norms import neighbours, norms, stacked_norms
from vanishgrad.modules.packed import Blocks, modules_of
from vanishgrad.modules.weights import weight_matrices
from vanishgrad.records import GATES_FILE, GRADIENT_COLUMNS, RESIDUAL_FILE, TIME_GRADIENTS_FILE, Cell

MEASURED = GRADIENT_COLUMNS[GRADIENT_COLUMNS.index("name") + 1 :]

Rows = list[tuple[Cell, ...]]
Tables = dict[str, Rows]  # by file name
Pick = Callable[[list[Cell]], tuple[Any, ...]]


class Measurement:
    """Measures a model around one training step, and leaves the training as it is.

    Run the forward pass inside `recording`, call `gradients` after the backward pass and before anything
    changes gradients or weights, and `rows` after the update (or without one). From `gradients` on,
    `grad_norms` are the global norms over all parameters, `(runs,)` in float64 on their device.

    Arguments:
        model: the module being trained; `weight_drift` counts from its weights now.
        everything: False measures the global norm, `grad_norm` and `bias_grad_norm` alone.
        listen: receive gradients by hooks, because the backward pass is somebody else's.
        frugal: keep no layer's activations and gradients longer than the pass needs them, for a model
            that computes its activations again in the backward pass.
        runs: the networks of a stack, side by side in memory, for all of which `model` is called; None for
            `model` itself.
        history: of the weights, where it is kept already; None begins one.
    """

    def __init__(
        self, model: nn.Module, everything: bool = True, listen: bool = False, frugal: bool = False,
        runs: Sequence[nn.Module] | None = None, history: WeightHistory | HistoryOfRun | None = None,
    ) -> None:  # fmt: skip
        models = [model] if runs is None else runs
        self.matrices, self.everything = weight_matrices(model), everything
        self.grad_norms = torch.zeros(len(models), dtype=torch.float64)
        self._activation_statistics = ActivationStatistics([modules_of(one, model) for one in models])
        reduce = self._statistics_of if frugal else None
        self.tape = Tape(model, self.matrices, keep_activations=everything, listen=listen, reduce=reduce)
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        indices = {id(parameter): index for index, parameter in enumerate(parameters)}
        self._weight_of = _entries(indices, [None if m.parametrization else m.weight for m in self.matrices])
        self._bias_of = _entries(indices, [matrix.bias for matrix in self.matrices])
        self._own = [weight_matrices(one) for one in models]
        self._parameters = [None if m.parametrization else m.weight for m in self._own[0]]
        self._stacks = [self._stack(index) for index in range(len(self.matrices))]
        self.history = (history or WeightHistory(self._current, len(models))) if everything else None
        started = [] if self.history is None else self.history.started.T.tolist()
        self._unstarted = [[m for m, yes in enumerate(row) if not yes] for row in started]
        self._all = {index: index for index in range(len(self.matrices))}
        self._columns = Columns()
        self._picked: dict[str, Any] = {}
        self._pick: list[Pick] = []
        self._blocks = blocks_of(model)

    @property
    def grad_norm(self) -> Tensor:
        """The global gradient norm of a run alone, a float64 scalar."""
        return self.grad_norms[0]

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
        """What the forward pass recorded whose gradients `gradients` needs as well as the parameters'."""
        return [awaited.edge for awaited in self.tape.recorded.awaited if awaited.edge is not None]

    def take(self, recorded: RecordedPass) -> None:
        """Take what a written-out pass recorded, gradients included, in place of an earlier pass."""
        self.tape.clear()
        self.tape.recorded = recorded

    @torch.no_grad()
    def gradients(
        self, of_parameters: Blocks | Sequence[Tensor | None],
        of_recorded: Sequence[Tensor | None] | None = None,
    ) -> None:  # fmt: skip
        """Measure the gradients of the pass that has just been recorded.

        Arguments:
            of_parameters: for every trainable parameter; None for one that the loss does not reach.
            of_recorded: for every tensor of `recorded`; None when the measurement listens for them itself.
        """
        if of_recorded is not None:
            asked = [awaited for awaited in self.tape.recorded.awaited if awaited.edge is not None]
            for awaited, gradient in zip(asked, of_recorded, strict=True):
                awaited.receive(gradient)
        self._columns = Columns()
        if isinstance(of_parameters, Blocks):
            self._measure_gradients(of_parameters, dict(enumerate(of_parameters.rows)))
        else:
            reached = [index for index, gradient in enumerate(of_parameters) if gradient is not None]
            self._measure_gradients([one for one in of_parameters if one is not None], _places(reached))
        if self.history is not None:
            lengths, drift = self.history.keep()
            self._columns.put("weight_norm", lengths, self._all)
            self._columns.put("weight_drift", drift, self._all)
            self._measure_activations()

    @torch.no_grad()
    def rows(
        self, step: int, epoch: int, updated: bool = True, extra: Tensor | None = None
    ) -> tuple[Rows, list[float]]:
        """The rows of this step for gradients.csv, of a run alone; `update_ratio` is empty without an update.

        All numbers leave the device in one transfer; those of the vector `extra` travel with them.
        """
        rows, numbers = self.rows_of_runs(step, epoch, [0], updated, extra)
        self.tape.clear()
        return rows[0], numbers

    @torch.no_grad()
    def rows_of_runs(
        self, step: int, epoch: int, active: Sequence[int], updated: bool = True, extra: Tensor | None = None
    ) -> tuple[dict[int, Rows], list[float]]:
        """The same for the `active` runs of a stack, by their places."""
        if self.history is not None and updated:
            self._columns.put("update_ratio", self.history.change(), self._all)
        runs, others = self._columns.to_host(extra)
        picks = self._picks()
        layout = [(step, epoch, matrix.layer, matrix.name) for matrix in self.matrices]
        rows: dict[int, Rows] = {}
        for row in active:
            numbers = [*self._with_gaps(runs[row], row), None]
            rows[row] = [head + pick(numbers) for head, pick in zip(layout, picks, strict=True)]
        return rows, others

    def _picks(self) -> list[Pick]:
        """Takes the columns of each matrix out of the numbers of a run, behind which stands a None."""
        if self._columns.places != self._picked:
            self._picked = dict(self._columns.places)
            self._pick = [
                itemgetter(*self._columns.of_matrix(index, MEASURED)) for index in range(len(self.matrices))
            ]
        return self._pick

    def _with_gaps(self, numbers: list[Cell], row: int) -> list[Cell]:
        """A change relative to a length of exactly 0 does not exist."""
        places = self._columns.places
        if "weight_drift" in places:
            start, _ = places["weight_drift"]
            for matrix in self._unstarted[row]:
                numbers[start + matrix] = None
        if "update_ratio" in places:
            (lengths, _), (ratios, _), count = (
                places["weight_norm"],
                places["update_ratio"],
                len(self.matrices),
            )
            for matrix, length in enumerate(numbers[lengths : lengths + count]):
                if length == 0:
                    numbers[ratios + matrix] = None
        return numbers

    @torch.no_grad()
    def extra_tables(self, step: int, row: int = 0) -> Tables:
        """The rows of this step for the tables that not every run has, by file name, of the run in `row`.

        Call it between `gradients` and `rows`, which forgets the pass.
        """
        recorded = self.tape.recorded
        if not recorded.terms and not recorded.timed:
            return {}
        recorded = recorded if len(self._own) == 1 else of_run(recorded, row)
        return {
            TIME_GRADIENTS_FILE: time_rows(step, recorded.timed),
            GATES_FILE: gate_rows(step, recorded.timed),
            RESIDUAL_FILE: residual_rows(step, recorded.terms, self._blocks),
        }

    def _stack(self, index: int) -> Tensor | None:
        """A weight matrix of all runs of a stack where they lie in memory, `(runs, *shape)`; None else."""
        own = [matrices[index] for matrices in self._own]
        plain = len(own) > 1 and own[0].parametrization is None
        return neighbours([matrix.weight.detach() for matrix in own]) if plain else None

    def _current(self) -> list[Tensor]:
        """The weights as they are now: parameters, and what is computed from parameters.

        Each `(*shape)`, of a stack `(runs, *shape)`.
        """
        if len(self._own) == 1:
            pairs = zip(self._parameters, self.matrices, strict=True)
            return [matrix.weight if parameter is None else parameter for parameter, matrix in pairs]
        return [
            torch.stack([matrices[index].weight for matrices in self._own]) if stack is None else stack
            for index, stack in enumerate(self._stacks)
        ]

    def _measure_gradients(self, gradients: Blocks | list[Tensor], place: dict[int, int]) -> None:
        """Norms of the gradients of parameters, effective weights and linear outputs, all at once.

        `place` says which of the gradients, counted block by block, is that of each parameter.
        """
        written = self.tape.recorded.written
        weights = _by_matrix(self.tape.recorded.weights)
        deltas = _by_matrix(self.tape.recorded.outputs)
        stacked, count = int(len(self._own) > 1), len(place)
        joined = [_joined(uses, stacked) for uses in deltas.values()]
        others = [*(sum(uses[1:], uses[0]) for uses in weights.values()), *joined]
        if isinstance(gradients, Blocks):
            blocks = [] if written is None else written.deltas
            table = stacked_norms([*gradients.all, *blocks], others)
        else:
            table = norms([*gradients, *others])[:, None]
        self.grad_norms = torch.linalg.vector_norm(table[:count], dim=0)
        own = {matrix: place[index] for matrix, index in self._weight_of.items() if index in place}
        own |= {matrix: count + number for number, matrix in enumerate(weights)}
        biases = {matrix: place[index] for matrix, index in self._bias_of.items() if index in place}
        self._columns.put("grad_norm", table, own)
        self._columns.put("bias_grad_norm", table, biases)
        lengths, first = _lengths(self.tape.recorded.outputs), count + len(weights)
        if lengths:
            self._columns.put("delta_norm", torch.stack(list(lengths.values()))[:, None], _places(lengths))
        else:
            measured = deltas if written is None else self._all
            self._columns.put("delta_norm", table, {m: first + number for number, m in enumerate(measured)})

    def _measure_activations(self) -> None:
        """Statistics of the activation that each output enters; several uses count as one larger batch."""
        written = self.tape.recorded.written
        if written is not None:
            hidden = written.activated
            if hidden is not None:
                self._put_statistics(self._activation_statistics.of_block(hidden), range(len(hidden.outputs)))
            return
        uses: dict[int, list[Activated]] = defaultdict(list)
        taken: dict[int, Tensor] = {}
        for output in self.tape.recorded.outputs:
            if isinstance(output.activated, Activated):
                uses[output.matrix].append(output.activated)
            elif output.activated is not None:
                taken[output.matrix] = output.activated
        stacked = int(len(self._own) > 1)
        measured = self._activation_statistics([_as_one(one, stacked) for one in uses.values()])
        self._put_statistics(torch.cat([measured, *taken.values()], dim=1), [*uses, *taken])

    def _put_statistics(self, table: Tensor, matrices: Iterable[int]) -> None:
        """The columns `(4, layers, runs)` of the matrices whose outputs enter the activations."""
        places = _places(matrices)
        for name, column in zip(ACTIVATION_COLUMNS, table, strict=True):
            self._columns.put(name, column, places)

    @torch.no_grad()
    def _statistics_of(self, activated: Activated) -> Tensor:
        """The statistics of one activation of a run alone, `(4, 1, 1)`."""
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
        if (gradient := one.gradient) is not None:
            uses[one.matrix].append(gradient)
    return uses


def _joined(tensors: Sequence[Tensor], axis: int) -> Tensor:
    """All elements of the tensors as one, from `axis` on."""
    return tensors[0] if len(tensors) == 1 else torch.cat([one.flatten(axis) for one in tensors], axis)


def _as_one(uses: Sequence[Activated], axis: int) -> Activated:
    """Several uses as one larger batch, which lies along `axis`."""
    if len(uses) == 1:
        return uses[0]
    inputs = [use.inputs for use in uses if use.inputs is not None]
    outputs = torch.cat([use.outputs for use in uses], axis)
    return Activated(uses[0].module, outputs, torch.cat(inputs, axis) if inputs else None)
