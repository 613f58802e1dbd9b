"""What one forward and backward pass leaves behind: every layer's output, its gradient, its activation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils.hooks import RemovableHandle

from vanishgrad.layers import WeightMatrix
from vanishgrad.models.sequence import Sequence as Watchable
from vanishgrad.monitor.slopes import is_activation, reads_outputs, works_in_place


@dataclass
class Activated:
    """One use of an activation: its module, output and, where the slope needs it, input, `(batch, ...)`."""

    module: nn.Module
    outputs: Tensor
    inputs: Tensor | None = None


@dataclass
class Recorded:
    """A tensor of the pass that belongs to a weight matrix: its linear output z, or its effective weight.

    Only its place in the graph is kept, `edge`, so that the values can be freed; None where there is no
    graph. `gradient` is dLoss/dz once it is known; `activated` is the activation that z enters next.
    """

    matrix: int
    edge: GradientEdge | None
    gradient: Tensor | None = None
    activated: Activated | None = None

    def receive(self, gradient: Tensor | None) -> None:
        """Take dLoss/dz."""
        self.gradient = gradient


class Tape:
    """Records a model's forward pass; it reads and never changes a value.

    While the model's own forward runs, its sequences show what passes through them, or, in a model that is
    built otherwise, one hook sees every module; before and after there is nothing, so that a step that is not
    recorded costs nothing. Evaluations without gradients are not recorded, nor is what activation
    checkpointing computes again in the backward pass.

    Arguments:
        model: the module to watch.
        matrices: its weight matrices; `Recorded.matrix` is a position among them.
        keep_activations: False records no activations and no linear outputs, only effective weights.
        listen: receive gradients by hooks, from a backward pass that somebody else runs. Without it,
            whoever runs the pass asks autograd for the gradients of all `recorded` and hands them over.
    """

    def __init__(
        self, model: nn.Module, matrices: Sequence[WeightMatrix], keep_activations: bool, listen: bool
    ) -> None:
        self.outputs: list[Recorded] = []
        self.weights: list[Recorded] = []
        self._listen = listen
        self._recording = False
        self._record: dict[nn.Module, Callable[[Tensor | None, Tensor], None]] = {}
        self._handles: list[RemovableHandle] = []
        self._heard: list[RemovableHandle] = []
        for index, matrix in enumerate(matrices):
            if matrix.parametrization is not None:
                self._record[matrix.parametrization] = partial(self._keep, index, self.weights)
            if keep_activations and matrix.attribute == "weight":
                self._record[matrix.module] = partial(self._keep, index, self.outputs)
        for module in model.modules() if keep_activations else ():
            if is_activation(module):
                self._record[module] = partial(self._activation, module)
        self._overwritten: dict[nn.Module, Tensor | None] = {
            module: None for module in self._record if works_in_place(module) and not reads_outputs(module)
        }
        sequences = [module for module in model.modules() if isinstance(module, Watchable)]
        shown = {child for sequence in sequences for child in sequence}
        self._sequences = sequences if shown.issuperset(self._record) else []

    @property
    def recorded(self) -> list[Recorded]:
        """Everything that has a gradient to wait for."""
        return [*self.outputs, *self.weights]

    def start(self) -> None:
        """Begin to record what modules do."""
        self._recording = True
        for sequence in self._sequences:
            sequence.observer = self._see
        if self._record and not self._sequences and not self._handles:
            self._handles.append(register_module_forward_hook(self._hook))
            if self._overwritten:
                self._handles.append(register_module_forward_pre_hook(self._rescue))

    def stop(self) -> None:
        """Record no more."""
        self._recording = False
        for sequence in self._sequences:
            sequence.observer = None
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def clear(self) -> None:
        """Forget the last pass; a hook that stayed would keep its graph alive, which keeps the hook."""
        for handle in self._heard:
            handle.remove()
        self._heard.clear()
        self.outputs.clear()
        self.weights.clear()

    def _see(self, module: nn.Module, inputs: Tensor | None, output: Tensor) -> None:
        record = self._record.get(module)
        if record is not None and self._recording and output.requires_grad:
            record(inputs, output)

    def _hook(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if module in self._record and isinstance(output, Tensor):
            given = inputs[0] if inputs else None  # hooks do not see what is given by keyword
            self._see(module, self._overwritten.get(module, given), output)

    def _rescue(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if module in self._overwritten:
            self._overwritten[module] = inputs[0].detach().clone() if inputs else None

    def _keep(self, index: int, kept: list[Recorded], inputs: Tensor | None, output: Tensor) -> None:
        record = Recorded(index, get_gradient_edge(output))
        kept.append(record)
        if self._listen:
            self._heard.append(output.register_hook(record.receive))

    def _activation(self, module: nn.Module, inputs: Tensor | None, output: Tensor) -> None:
        if not self.outputs or self.outputs[-1].activated is not None:
            return
        if reads_outputs(module):
            self.outputs[-1].activated = Activated(module, output)
        elif inputs is not None:
            self.outputs[-1].activated = Activated(module, output, inputs)
