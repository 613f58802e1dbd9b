"""What one forward and backward pass leaves behind: every layer's output, its gradient, its activation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from vanishgrad.layers import WeightMatrix
from vanishgrad.monitor.slopes import is_activation


@dataclass
class Activated:
    """One application of an activation: its module, input and output, both `(batch, ...)`."""

    module: nn.Module
    inputs: Tensor
    outputs: Tensor


@dataclass
class LinearOutput:
    """One linear output z of a weight matrix: dLoss/dz once it is known, and the activation z enters next."""

    matrix: int
    delta: Tensor | None = None
    activated: Activated | None = None

    def receive(self, gradient: Tensor) -> None:
        self.delta = gradient


@dataclass
class Tape:
    """Hooks on a model that record its forward passes while it is `armed`; they read and never change a value.

    Nothing is recorded outside the model's own forward pass: neither an evaluation without gradients, nor
    what activation checkpointing computes again in the backward pass.

    Arguments:
        model: the module to watch.
        matrices: its weight matrices; entries of `outputs` refer to them by position.
        keep_activations: False records no activations and no linear outputs, only effective weights.
    """

    model: nn.Module
    matrices: Sequence[WeightMatrix]
    keep_activations: bool = True
    armed: bool = False
    recording: bool = False
    outputs: list[LinearOutput] = field(default_factory=list)
    weight_gradients: dict[int, Tensor] = field(default_factory=dict)
    _handles: list[RemovableHandle] = field(default_factory=list)

    def attach(self) -> None:
        """Install the hooks."""
        self._handles.append(self.model.register_forward_pre_hook(self._begin))
        for index, matrix in enumerate(self.matrices):
            if matrix.parametrization is not None:
                self._hook(matrix.parametrization, self._effective_weight(index))
            if self.keep_activations and matrix.attribute == "weight":
                self._hook(matrix.module, self._linear_output(index))
        for module in self.model.modules() if self.keep_activations else ():
            if is_activation(module):
                self._hook(module, self._activation)
        self._hook(self.model, self._end)

    def detach(self) -> None:
        """Remove the hooks and forget what they recorded."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self.clear()

    def clear(self) -> None:
        """Forget the last pass."""
        self.outputs.clear()
        self.weight_gradients.clear()

    def _begin(self, module: nn.Module, inputs: Any) -> None:
        self.recording = self.armed

    def _end(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.recording = False

    def _hook(self, module: nn.Module, hook: Any) -> None:
        self._handles.append(module.register_forward_hook(hook))

    def _linear_output(self, index: int) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if self.recording and isinstance(output, Tensor) and output.requires_grad:
                record = LinearOutput(index)
                output.register_hook(record.receive)
                self.outputs.append(record)

        return hook

    def _activation(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        waiting = self.recording and output.requires_grad and self.outputs
        if waiting and self.outputs[-1].activated is None:
            self.outputs[-1].activated = Activated(module, inputs[0].detach(), output.detach())

    def _effective_weight(self, index: int) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            if self.recording and output.requires_grad:
                output.register_hook(lambda gradient: self.weight_gradients.__setitem__(index, gradient))

        return hook
