"""What one forward and backward pass leaves behind: every layer's output, its gradient, its activation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._C import _functorch
from torch.autograd.graph import get_gradient_edge
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils.hooks import RemovableHandle

from vanishgrad.choices.model.conv_lstm import ConvLSTMNetwork
from vanishgrad.choices.model.recurrent import Recurrent
from vanishgrad.choices.residual import Fork
from vanishgrad.measure.activations import is_activation, reads_outputs, works_in_place
from vanishgrad.measure.extra_tables import Terms, Timed
from vanishgrad.measure.recorded import Activated, Awaited, Part, Recorded
from vanishgrad.modules.observer import Gate, LinearOutput, Unrolled
from vanishgrad.modules.observer import Sequence as Row
from vanishgrad.modules.weights import WeightMatrix

Record = Callable[[Tensor | None, Tensor], None]  # takes a module's input and output
Shows = Row | Fork | Recurrent | ConvLSTMNetwork  # parts of a model that show what passes through them


@dataclass(frozen=True)
class Written:
    """What a pass that was written out knows of all its layers, side by side in memory.

    Arguments:
        deltas: dLoss/dz in the order of the weight matrices, each `(runs, layers, batch, units)`.
        activated: the activations of the hidden layers, tensors `(layers, [runs,] batch, units)`; None
            without any.
    """

    deltas: list[Tensor]
    activated: Activated | None


@dataclass
class RecordedPass:
    """What a tape has recorded, or in place of outputs and weights what a written-out pass has `written`."""

    outputs: list[Recorded] = field(default_factory=list)
    weights: list[Recorded] = field(default_factory=list)
    terms: list[Terms] = field(default_factory=list)
    timed: list[Timed] = field(default_factory=list)
    awaited: list[Awaited] = field(default_factory=list)
    written: Written | None = None


class Tape:
    """Records a model's forward pass; it reads and never changes a value.

    While the model's own forward runs, its parts show what passes through them (an `Observer`), and in a
    model that has other parts too one hook sees every module; before and after there is nothing, so that a
    step that is not recorded costs nothing. Evaluations without gradients are not recorded, nor is what
    activation checkpointing computes again in the backward pass.

    Arguments:
        model: the module to watch.
        matrices: its weight matrices; `Recorded.matrix` is a position among them.
        keep_activations: False records no activations and no linear outputs, only effective weights.
        listen: receive gradients by hooks, from a backward pass that somebody else runs. Without it,
            whoever runs the pass asks autograd for the gradients of all `awaited` and hands them over.
        reduce: gives the statistics of an activation. With it, activations and gradients are reduced to
            their numbers as they come, so that no layer's tensors outlive their use.
    """

    def __init__(
        self, model: nn.Module, matrices: Sequence[WeightMatrix], keep_activations: bool, listen: bool,
        reduce: Callable[[Activated], Tensor] | None = None,
    ) -> None:  # fmt: skip
        self.recorded = RecordedPass()
        self._listen, self._reduce, self._recording = listen, reduce, False
        self._number = {m.module: index for index, m in enumerate(matrices) if m.attribute == "weight"}
        self._handles: list[RemovableHandle] = []
        self._heard: list[RemovableHandle] = []
        parts = list(model.modules()) if keep_activations else []
        self._record: dict[nn.Module, Record] = {
            matrix.parametrization: partial(self._weight, index)
            for index, matrix in enumerate(matrices)
            if matrix.parametrization is not None
        }
        if keep_activations:
            self._record |= {module: partial(self._output, index) for module, index in self._number.items()}
            self._record |= {
                part: partial(self._activation, part, reads_outputs(part))
                for part in parts
                if is_activation(part)
            }
        self._overwritten: dict[nn.Module, Tensor | None] = {
            module: None for module in self._record if works_in_place(module) and not reads_outputs(module)
        }
        self._watched: list[Shows] = [part for part in parts if isinstance(part, Shows)]
        self._hooked = not _shown(self._watched).issuperset(self._record)
        if self._hooked:  # which sees the modules of a sequence as well, whoever calls them
            self._watched = [part for part in self._watched if not isinstance(part, Row)]
        self._shown = _shown(self._watched)

    def start(self) -> None:
        """Begin to record what modules do."""
        self._recording = True
        for part in self._watched:
            part.observer = self
        if self._hooked and not self._handles:
            self._handles.append(register_module_forward_hook(self._hook))
            if self._overwritten:
                self._handles.append(register_module_forward_pre_hook(self._rescue))

    def stop(self) -> None:
        """Record no more."""
        self._recording = False
        for part in self._watched:
            part.observer = None
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def clear(self) -> None:
        """Forget the last pass; a hook that stayed would keep its graph alive, which keeps the hook."""
        for handle in self._heard:
            handle.remove()
        self._heard.clear()
        self.recorded = RecordedPass()

    def module(self, module: nn.Module, inputs: Tensor | None, output: Tensor) -> None:
        """A module was called."""
        record = self._record.get(module)
        if record is not None and self._recording and (output.requires_grad or in_graph(output)):
            record(inputs, output)

    def fork(self, block: nn.Module, direct: Tensor, into: Tensor) -> None:
        """A residual block split its stream."""
        if not (self._recording and in_graph(direct)):
            return
        terms = Terms(block, self._await(direct, False), self._await(into, False))
        self.recorded.terms.append(terms)
        if self._reduce is not None:
            self._heard += [tensor.register_hook(terms.reduce) for tensor in (direct, into)]

    def unrolled(self, layer: Unrolled) -> None:
        """A recurrent layer has done all its time steps."""
        if not (self._recording and in_graph(layer.hidden[-1])):
            return
        gates = [_detached(gate) for gate in layer.gates]
        hidden, cell = ([self._await(state) for state in states] for states in (layer.hidden, layer.cell))
        self.recorded.timed.append(Timed(layer.layer, layer.first, hidden, cell, gates))
        by_module: dict[nn.Module, Recorded] = {}
        for linear in layer.linear:
            for awaited in [self._await(tensor) for tensor in linear.outputs]:
                by_module |= self._parts(linear, awaited)
        for gate in layer.gates:
            activated = _over_time(gate)
            for matrix in gate.matrices:
                if matrix in by_module:
                    by_module[matrix].activated = activated

    def _parts(self, linear: LinearOutput, awaited: Awaited) -> dict[nn.Module, Recorded]:
        """A record for each of the matrices whose outputs lie side by side in one tensor."""
        count = len(linear.matrices)
        made = {
            module: Recorded(self._number[module], awaited, Part(linear.axis, index, count))
            for index, module in enumerate(linear.matrices)
        }
        self.recorded.outputs.extend(made.values())
        return made

    def _hook(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if module in self._record and module not in self._shown and isinstance(output, Tensor):
            given = inputs[0] if inputs else None  # hooks do not see what is given by keyword
            self.module(module, self._overwritten.get(module, given), output)

    def _rescue(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if module in self._overwritten:
            self._overwritten[module] = inputs[0].detach().clone() if inputs else None

    def _await(self, tensor: Tensor, reduce: bool = True) -> Awaited:
        """Wait for the gradient of `tensor`, or with `reduce` only for its norm where the tape reduces."""
        frugal = self._reduce is not None
        asked = not (frugal or self._listen)  # an edge kept for nothing would keep its graph alive
        whole, axis = whole_tensor(tensor)
        awaited = Awaited(get_gradient_edge(whole) if asked else None, axis=axis)
        self.recorded.awaited.append(awaited)
        if not asked:
            hear = awaited.measure if frugal and reduce else awaited.receive
            self._heard.append(tensor.register_hook(hear))
        return awaited

    def _output(self, index: int, inputs: Tensor | None, output: Tensor) -> None:
        self.recorded.outputs.append(Recorded(index, self._await(output)))

    def _weight(self, index: int, inputs: Tensor | None, output: Tensor) -> None:
        self.recorded.weights.append(Recorded(index, self._await(output, False)))

    def _activation(self, module: nn.Module, quick: bool, inputs: Tensor | None, output: Tensor) -> None:
        """An activation was called, whose slope can be told from its output if it is `quick`."""
        outputs = self.recorded.outputs
        if not outputs or outputs[-1].activated is not None:
            return
        given = None if quick or inputs is None else stacked_values(inputs)
        if given is not None or quick:
            activated = Activated(module, stacked_values(output), given)
            outputs[-1].activated = activated if self._reduce is None else self._reduce(activated)


def _detached(gate: Gate) -> Gate:
    """The gate outside of the graph."""
    inputs = None if gate.inputs is None else [stacked_values(value) for value in gate.inputs]
    return replace(gate, values=[stacked_values(value) for value in gate.values], inputs=inputs)


def _over_time(gate: Gate) -> Activated | None:
    """All time steps of a gate as one larger batch; None where its slopes cannot be known."""
    outputs = stacked_values(torch.cat(gate.values))
    if reads_outputs(gate.activation):
        return Activated(gate.activation, outputs)
    return (
        None
        if gate.inputs is None
        else Activated(gate.activation, outputs, stacked_values(torch.cat(gate.inputs)))
    )


def _shown(parts: Iterable[Shows]) -> set[nn.Module]:
    """The modules that the parts show."""
    return {module for part in parts if not isinstance(part, Fork) for module in part.shown()}


def whole_tensor(tensor: Tensor) -> tuple[Tensor, int | None]:
    """What `vmap` shows as one run's tensor: the tensor of all runs, and the axis along which they lie.

    Outside of `vmap`, the tensor itself and None.
    """
    if not _functorch.is_batchedtensor(tensor):
        return tensor, None
    return _functorch.get_unwrapped(tensor), _functorch.maybe_get_bdim(tensor)


def stacked_values(tensor: Tensor) -> Tensor:
    """The values, outside of the graph; of a stack with the runs along axis 0."""
    whole, axis = whole_tensor(tensor.detach())
    return whole if axis is None else whole.movedim(axis, 0)


def in_graph(tensor: Tensor) -> bool:
    """Whether gradients flow back through the tensor."""
    return whole_tensor(tensor)[0].requires_grad


def of_run(stacked: RecordedPass, row: int) -> RecordedPass:
    """What one run of a stack recorded for the tables that not every run has; every gradient has arrived."""
    return RecordedPass(
        terms=[
            replace(one, direct=_awaited(one.direct, row), into=_awaited(one.into, row))
            for one in stacked.terms
        ],
        timed=[_timed(one, row) for one in stacked.timed],
    )


def _awaited(one: Awaited, row: int) -> Awaited:
    if one.gradient is None:
        return Awaited(None)
    return Awaited(None, one.gradient.select(one.axis or 0, row))


def _timed(one: Timed, row: int) -> Timed:
    hidden, cell = ([_awaited(state, row) for state in states] for states in (one.hidden, one.cell))
    return replace(one, hidden=hidden, cell=cell, gates=[_gate(gate, row) for gate in one.gates])


def _gate(gate: Gate, row: int) -> Gate:
    return replace(gate, values=[value[row] for value in gate.values], inputs=None)
