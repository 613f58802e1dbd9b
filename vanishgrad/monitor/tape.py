"""What one forward and backward pass leaves behind: every layer's output, its gradient, its activation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils.hooks import RemovableHandle

from vanishgrad.layers import WeightMatrix
from vanishgrad.models.conv_lstm import ConvLSTMNetwork
from vanishgrad.models.observer import Gate, LinearOutput, Unrolled
from vanishgrad.models.recurrent import Recurrent
from vanishgrad.models.residual import Fork
from vanishgrad.models.sequence import Sequence as Row
from vanishgrad.monitor.residual_terms import split
from vanishgrad.monitor.slopes import is_activation, reads_outputs, works_in_place
from vanishgrad.norms import norms


@dataclass
class Activated:
    """One use of an activation: its module, output and, where the slope needs it, input, `(batch, ...)`."""

    module: nn.Module
    outputs: Tensor
    inputs: Tensor | None = None


@dataclass
class Awaited:
    """A tensor of the pass that waits for its gradient.

    Only its place in the graph is kept, `edge`, so that the values can be freed; None where there is no
    graph, or nobody needs to ask. `gradient` is there once it is known, or only its L2 norm, `length`.
    """

    edge: GradientEdge | None
    gradient: Tensor | None = None
    length: Tensor | None = None

    def receive(self, gradient: Tensor | None) -> None:
        """Take the gradient."""
        self.gradient = gradient

    def measure(self, gradient: Tensor) -> None:
        """Take the norm of the gradient, and let go of the gradient."""
        self.length = norms([gradient])[0]


@dataclass(frozen=True)
class Part:
    """One of `count` equal parts of a tensor along `axis`."""

    axis: int
    index: int
    count: int

    def of(self, tensor: Tensor) -> Tensor:
        return tensor.chunk(self.count, self.axis)[self.index]


@dataclass
class Recorded:
    """A linear output z, or an effective weight: what awaits its gradient for the matrix number `matrix`.

    `part` says which part of the tensor is the matrix's own; `activated` is the activation that z enters
    next, or its statistics, `(4, 1)`, when they have been taken already.
    """

    matrix: int
    awaited: Awaited
    part: Part | None = None
    activated: Activated | Tensor | None = None

    @property
    def gradient(self) -> Tensor | None:
        """dLoss/dz, once it is known."""
        whole = self.awaited.gradient
        return whole if whole is None or self.part is None else self.part.of(whole)


@dataclass
class Terms:
    """The stream of a residual block, split: what goes around the branch, and what goes into it.

    `split` takes the place of the gradients once it is known: see `residual_terms.split`.
    """

    fork: nn.Module
    direct: Awaited
    into: Awaited
    split: Tensor | None = None

    def reduce(self, _: Tensor) -> None:
        """Let go of the gradients as soon as both are there."""
        if self.direct.gradient is not None and self.into.gradient is not None:
            self.split = split([self.direct.gradient], [self.into.gradient])
            self.direct.gradient = self.into.gradient = None


@dataclass(frozen=True)
class Timed:
    """The states of one recurrent layer over time, each awaiting its full derivative, and the layer."""

    layer: Unrolled
    hidden: list[Awaited]
    cell: list[Awaited]


@dataclass
class Pass:
    """What a tape has recorded."""

    outputs: list[Recorded] = field(default_factory=list)
    weights: list[Recorded] = field(default_factory=list)
    terms: list[Terms] = field(default_factory=list)
    timed: list[Timed] = field(default_factory=list)
    awaited: list[Awaited] = field(default_factory=list)


class Tape:
    """Records a model's forward pass; it reads and never changes a value.

    While the model's own forward runs, its parts show what passes through them (an `Observer`), or, in a
    model that is built otherwise, one hook sees every module; before and after there is nothing, so that a
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
        self.recorded = Pass()
        self._listen, self._reduce, self._recording = listen, reduce, False
        self._everything = keep_activations
        self._record: dict[nn.Module, Callable[[Tensor | None, Tensor], None]] = {}
        self._number = {m.module: index for index, m in enumerate(matrices) if m.attribute == "weight"}
        self._handles: list[RemovableHandle] = []
        self._heard: list[RemovableHandle] = []
        for index, matrix in enumerate(matrices):
            if matrix.parametrization is not None:
                self._record[matrix.parametrization] = partial(self._weight, index)
            if keep_activations and matrix.attribute == "weight":
                self._record[matrix.module] = partial(self._output, index)
        for module in model.modules() if keep_activations else ():
            if is_activation(module):
                self._record[module] = partial(self._activation, module)
        self._overwritten: dict[nn.Module, Tensor | None] = {
            module: None for module in self._record if works_in_place(module) and not reads_outputs(module)
        }
        self._watched = _watched(model) if _shown(model).issuperset(self._record) else []

    def start(self) -> None:
        """Begin to record what modules do."""
        self._recording = True
        for part in self._watched:
            part.observer = self
        if self._record and not self._watched and not self._handles:
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
        self.recorded = Pass()

    def module(self, module: nn.Module, inputs: Tensor | None, output: Tensor) -> None:
        """A module was called."""
        record = self._record.get(module)
        if record is not None and self._recording and output.requires_grad:
            record(inputs, output)

    def fork(self, block: nn.Module, direct: Tensor, into: Tensor) -> None:
        """A residual block split its stream."""
        if not (self._everything and self._recording and direct.requires_grad):
            return
        terms = Terms(block, self._await(direct, False), self._await(into, False))
        self.recorded.terms.append(terms)
        if self._reduce is not None:
            self._heard += [tensor.register_hook(terms.reduce) for tensor in (direct, into)]

    def unrolled(self, layer: Unrolled) -> None:
        """A recurrent layer has done all its time steps."""
        if not (self._everything and self._recording and layer.hidden[-1].requires_grad):
            return
        hidden = [self._await(tensor) for tensor in layer.hidden]
        self.recorded.timed.append(Timed(layer, hidden, [self._await(tensor) for tensor in layer.cell]))
        found: dict[nn.Module, Recorded] = {}
        for linear in layer.linear:
            for awaited in [self._await(tensor) for tensor in linear.outputs]:
                found |= self._parts(linear, awaited)
        for gate in layer.gates:
            activated = _over_time(gate)
            for matrix in gate.matrices:
                if matrix in found:
                    found[matrix].activated = activated

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
        if module in self._record and isinstance(output, Tensor):
            given = inputs[0] if inputs else None  # hooks do not see what is given by keyword
            self.module(module, self._overwritten.get(module, given), output)

    def _rescue(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if module in self._overwritten:
            self._overwritten[module] = inputs[0].detach().clone() if inputs else None

    def _await(self, tensor: Tensor, reduce: bool = True) -> Awaited:
        """Wait for the gradient of `tensor`, or with `reduce` only for its norm where the tape reduces."""
        frugal = self._reduce is not None
        awaited = Awaited(None if frugal else get_gradient_edge(tensor))
        self.recorded.awaited.append(awaited)
        if frugal or self._listen:
            hear = awaited.measure if frugal and reduce else awaited.receive
            self._heard.append(tensor.register_hook(hear))
        return awaited

    def _output(self, index: int, inputs: Tensor | None, output: Tensor) -> None:
        self.recorded.outputs.append(Recorded(index, self._await(output)))

    def _weight(self, index: int, inputs: Tensor | None, output: Tensor) -> None:
        self.recorded.weights.append(Recorded(index, self._await(output, False)))

    def _activation(self, module: nn.Module, inputs: Tensor | None, output: Tensor) -> None:
        outputs = self.recorded.outputs
        if not outputs or outputs[-1].activated is not None:
            return
        given = None if reads_outputs(module) else inputs
        if given is not None or reads_outputs(module):
            activated = Activated(module, output, given)
            outputs[-1].activated = activated if self._reduce is None else self._reduce(activated)


def _over_time(gate: Gate) -> Activated | None:
    """All time steps of a gate as one larger batch; None where its slopes cannot be known."""
    values = torch.cat([value.detach() for value in gate.values])
    if reads_outputs(gate.activation):
        return Activated(gate.activation, values)
    if gate.inputs is None:
        return None
    return Activated(gate.activation, values, torch.cat([value.detach() for value in gate.inputs]))


def _watched(model: nn.Module) -> list[Row | Fork | Recurrent | ConvLSTMNetwork]:
    """The parts of `model` that show what passes through them."""
    return [part for part in model.modules() if isinstance(part, Row | Fork | Recurrent | ConvLSTMNetwork)]


def _shown(model: nn.Module) -> set[nn.Module]:
    """The modules that they show."""
    parts = [part for part in _watched(model) if not isinstance(part, Fork)]
    return {module for part in parts for module in part.shown()}
