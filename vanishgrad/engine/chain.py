"""The forward and backward pass of a plain perceptron, written out.

The same kernels in the same order as autograd, so the same numbers to the last bit, without building a graph;
and every layer's dLoss/dz is at hand, which autograd would have to be asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vanishgrad.choices.model.build import AnyNetwork
from vanishgrad.choices.model.feedforward import Network
from vanishgrad.choices.protocol import Loss
from vanishgrad.choices.regularization import NoReg, WeightDecay
from vanishgrad.engine.passes import StackedPass
from vanishgrad.measure.activations import reads_outputs
from vanishgrad.measure.recorded import Activated, Awaited, Recorded
from vanishgrad.measure.tape import RecordedPass
from vanishgrad.modules.packed import Blocks, side_by_side
from vanishgrad.run import Run

aten = torch.ops.aten

# module, dLoss/dy, z, y: turns dLoss/dy into dLoss/dz in place, for y = module(z)
Backward = Callable[[Any, Tensor, Tensor | None, Tensor], Tensor]
BACKWARD: dict[type[nn.Module], Backward] = {
    nn.Identity: lambda module, gradient, z, y: gradient,
    nn.Tanh: lambda module, gradient, z, y: aten.tanh_backward.grad_input(gradient, y, grad_input=gradient),
    nn.Sigmoid: lambda module, gradient, z, y: aten.sigmoid_backward.grad_input(
        gradient, y, grad_input=gradient
    ),
    nn.ReLU: lambda module, gradient, z, y: aten.threshold_backward.grad_input(
        gradient, y, 0, grad_input=gradient
    ),
    nn.GELU: lambda module, gradient, z, y: aten.gelu_backward.grad_input(gradient, z, grad_input=gradient),
    nn.SiLU: lambda module, gradient, z, y: aten.silu_backward.grad_input(gradient, z, grad_input=gradient),
    nn.LeakyReLU: lambda module, gradient, z, y: aten.leaky_relu_backward.grad_input(
        gradient, z, module.negative_slope, False, grad_input=gradient
    ),
}


@dataclass(frozen=True)
class ChainPass:
    """One pass: the loss, outputs `(batch, outputs)`, a gradient per parameter, and what a tape records."""

    loss: Tensor
    outputs: Tensor
    gradients: list[Tensor]
    recorded: list[Recorded] = field(default_factory=list)


class Chain:
    """Linear layers with activations between them; reads the parameters of `linears` at every pass.

    The gradients of a pass lie in memory that the next pass overwrites.

    Arguments:
        linears: the hidden layers and the output layer, each with a bias.
        activations: one after each hidden layer, of a type in `BACKWARD`.
    """

    def __init__(self, linears: list[nn.Linear], activations: list[nn.Module]) -> None:
        self.activations = activations
        self._weights = [linear.weight.detach() for linear in linears]
        self._transposed = [weight.t() for weight in self._weights]
        self._biases = [linear.bias.detach() for linear in linears]
        # memory is kept from pass to pass: fresh memory costs a page fault for every 4 KiB
        pairs = zip(self._weights, self._biases, strict=True)
        self._gradients = side_by_side(tensor for pair in pairs for tensor in pair)
        self._signals: list[Tensor] = []
        self._backward = [BACKWARD[type(activation)] for activation in activations]

    @classmethod
    def of(cls, model: AnyNetwork) -> Chain | None:
        """`model` as a chain; None for one with anything else in it, which is left to autograd."""
        if not isinstance(model, Network) or not isinstance(model[0], nn.Flatten):
            return None
        layers = list(model)[1:]  # the first only flattens the input
        linears, activations = layers[::2], layers[1::2]
        plain = all(type(linear).forward is nn.Linear.forward for linear in linears)
        known = all(type(activation) in BACKWARD for activation in activations)
        if not (plain and known) or len(linears) != len(activations) + 1 or model.recompute_every:
            return None
        if any(hasattr(linear, "parametrizations") for linear in linears):
            return None
        return cls([linear for linear in linears if isinstance(linear, nn.Linear)], activations)

    def __call__(self, inputs: Tensor, targets: Tensor, loss: Loss, record: bool) -> ChainPass:
        """Forward and backward through the mean loss; `record` keeps what a measurement needs."""
        with torch.no_grad():
            entered, zs, outputs = self._forward(inputs.flatten(1))
        value, gradient = _loss_and_gradient(loss, outputs, targets)
        with torch.no_grad():
            gradients, deltas = self._back(gradient, entered, zs)
        return ChainPass(value, outputs, gradients, self._recorded(entered, zs, deltas) if record else [])

    def _forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor | None], Tensor]:
        """What enters each linear layer, each hidden z (None where it is not needed), and the outputs."""
        entered: list[Tensor] = [x]
        zs: list[Tensor | None] = []
        for weight, bias, activation in zip(self._transposed, self._biases, self.activations, strict=False):
            z = torch.addmm(bias, entered[-1], weight)
            entered.append(activation(z))
            zs.append(None if reads_outputs(activation) else z)
        return entered, zs, torch.addmm(self._biases[-1], entered[-1], self._transposed[-1])

    def _back(
        self, gradient: Tensor, entered: list[Tensor], zs: list[Tensor | None]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Gradients of weights and biases in the order of the layers, and dLoss/dz of each layer."""
        signals = self._signals_for(entered, gradient)
        deltas = [signals[-1].copy_(gradient)]
        for layer in range(len(entered) - 1, -1, -1):
            torch.sum(gradient, 0, out=self._gradients[2 * layer + 1])
            torch.mm(gradient.t(), entered[layer], out=self._gradients[2 * layer])
            if layer:
                arrived = torch.mm(gradient, self._weights[layer], out=signals[layer - 1])
                activation, backward = self.activations[layer - 1], self._backward[layer - 1]
                gradient = backward(activation, arrived, zs[layer - 1], entered[layer])
                deltas.append(gradient)
        return self._gradients, deltas[::-1]

    def _signals_for(self, entered: list[Tensor], gradient: Tensor) -> list[Tensor]:
        """Memory for dLoss/dz of every layer, kept while the batch has the same size."""
        if not self._signals or len(self._signals[-1]) != len(gradient):
            self._signals = side_by_side([*entered[1:], gradient])
        return self._signals

    def _recorded(
        self, entered: list[Tensor], zs: list[Tensor | None], deltas: list[Tensor]
    ) -> list[Recorded]:
        used = zip(self.activations, entered[1:], zs, strict=True)
        hidden = [Activated(activation, y, z) for activation, y, z in used]
        pairs = zip(deltas, [*hidden, None], strict=True)
        return [
            Recorded(layer, Awaited(None, delta), activated=activated)
            for layer, (delta, activated) in enumerate(pairs)
        ]


def _loss_and_gradient(loss: Loss, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The mean loss and its gradient with respect to the outputs."""
    leaf = outputs.detach().requires_grad_()
    value = loss(leaf, targets)
    (gradient,) = torch.autograd.grad(value, leaf)
    return value.detach(), gradient


def multiply(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """The product of two matrices for each run, `(runs, rows, inner) @ (runs, inner, columns)`.

    On a CPU by numpy, whose BLAS takes two thirds of the time of torch's for many small matrices
    (`scripts/benchmark_sweep.py --only step`).
    """
    if out.device.type != "cpu":
        return torch.bmm(left, right, out=out)
    np.matmul(left.numpy(), right.numpy(), out=out.numpy())
    return out


def tanh_(tensor: Tensor) -> Tensor:
    """The tanh in its argument's place; on a CPU numpy's, which is ten times as quick and as exact."""
    if tensor.device.type != "cpu":
        return tensor.tanh_()
    array = tensor.numpy()
    np.tanh(array, out=array)
    return tensor


def diverging() -> AbstractContextManager[None]:
    """Inside, numbers may overflow without a warning: a run that diverges is a result."""
    return np.errstate(over="ignore", invalid="ignore")


class StackedChain:
    """Linear layers with activations between them, as `Chain` has them, for all runs at once.

    What a pass gives lies in memory that the next pass overwrites: fresh memory costs a page fault for
    every 4 KiB.

    Arguments:
        run: one of the settings.
        activations: one after each hidden layer.
        values: the parameters of all runs, weight and bias of each layer in turn.
        gradients: where the gradients go.
    """

    def __init__(self, run: Run, activations: Sequence[nn.Module], values: Blocks, gradients: Blocks) -> None:
        self._loss, self._activations = run.criterion, activations
        self._weights, biases = values.stacked[::2], values.stacked[1::2]
        self._biases = [bias.unsqueeze(1) for bias in biases]  # (runs, 1, width)
        self._transposed = [weight.transpose(1, 2) for weight in self._weights]
        self._gradients = gradients.stacked
        self._backward = [BACKWARD[type(activation)] for activation in activations]
        self._everything = run.measure == "all"
        self._quick = self._loss.classes
        self._training, self._evaluating = Memory(), Memory()

    @classmethod
    def of(cls, run: Run, template: AnyNetwork, values: Blocks, gradients: Blocks) -> StackedChain | None:
        """A stack of networks like `template` as a chain; None where only autograd serves."""
        chain = Chain.of(template) if isinstance(run.reg, NoReg | WeightDecay) else None
        return None if chain is None else cls(run, chain.activations, values, gradients)

    def __call__(self, inputs: Tensor, targets: Tensor, record: bool) -> StackedPass:
        """Forward and backward on `(runs, batch, *example)`; `record` keeps what a measurement needs."""
        keep = record and self._everything
        with torch.no_grad(), diverging():
            entered, zs, outputs = self._forward(inputs.flatten(2))
        losses, gradient = self._loss_and_gradient(outputs, targets)
        with torch.no_grad(), diverging():
            deltas = self._back(gradient, entered, zs, keep)
        seen = self._recorded(entered, zs, deltas) if keep else RecordedPass()
        return StackedPass(losses, None, outputs, targets, seen if record else None)

    def _forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor | None], Tensor]:
        """What enters each linear layer, each hidden z (None where it is not needed), and the outputs."""
        entered: list[Tensor] = [x]
        zs: list[Tensor | None] = []
        for layer, activation in enumerate(self._activations):
            z = self._linear(layer, entered[-1], self._training, layer)
            zs.append(None if reads_outputs(activation) else z)
            entered.append(activated(activation, z))
        return entered, zs, self._linear(-1, entered[-1], self._training, "outputs")

    @torch.no_grad()
    def outputs(self, inputs: Tensor) -> Tensor:
        """The outputs of all runs for the same inputs `(batch, *example)`, `(runs, batch, outputs)`."""
        x = inputs.flatten(1).expand(len(self._weights[0]), -1, -1)
        with diverging():
            for layer, activation in enumerate(self._activations):
                x = activated(activation, self._linear(layer, x, self._evaluating, layer % 2))
            return self._linear(-1, x, self._evaluating, "outputs")

    def _linear(self, layer: int, x: Tensor, memory: Memory, use: object) -> Tensor:
        weight = self._transposed[layer]
        z = memory(use, (*x.shape[:2], weight.shape[2]), x)
        return multiply(x, weight, z).add_(self._biases[layer])

    def _loss_and_gradient(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The mean losses, `(runs,)`, and their gradients with respect to the outputs."""
        if self._quick and not targets.is_floating_point():
            return cross_entropies(outputs, targets)
        leaf = outputs.detach().requires_grad_()
        losses = torch.vmap(self._loss)(leaf, targets)
        (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        return losses.detach(), gradient

    def _back(
        self, gradient: Tensor, entered: list[Tensor], zs: list[Tensor | None], keep: bool
    ) -> list[Tensor]:
        """dLoss/dz of each layer, if they are to be kept; gradients of weights and biases go to their places.

        Those that nobody keeps take turns in memory that stays in the cache.
        """
        deltas = [gradient]
        for layer in range(len(entered) - 1, -1, -1):
            torch.sum(gradient, 1, out=self._gradients[2 * layer + 1])
            multiply(gradient.transpose(1, 2), entered[layer], self._gradients[2 * layer])
            if layer:
                place = self._training(
                    ("delta", layer if keep else layer % 2), entered[layer].shape, gradient
                )
                arrived = multiply(gradient, self._weights[layer], place)
                activation, backward = self._activations[layer - 1], self._backward[layer - 1]
                gradient = backward(activation, arrived, zs[layer - 1], entered[layer])
                deltas.append(gradient)
        return deltas[::-1] if keep else []

    def _recorded(self, entered: list[Tensor], zs: list[Tensor | None], deltas: list[Tensor]) -> RecordedPass:
        used = zip(self._activations, entered[1:], zs, strict=True)
        hidden = [Activated(activation, y, z) for activation, y, z in used]
        pairs = zip(deltas, [*hidden, None], strict=True)
        outputs = [
            Recorded(layer, Awaited(None, delta, axis=0), activated=activated)
            for layer, (delta, activated) in enumerate(pairs)
        ]
        return RecordedPass(outputs=outputs)


class Memory:
    """Tensors that are kept from call to call, one for each use and shape."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], Tensor] = {}

    def __call__(self, use: object, shape: Sequence[int], like: Tensor) -> Tensor:
        """Memory of that shape, from an earlier call if it can be."""
        key = use, *shape
        if key not in self._kept:
            self._kept[key] = like.new_empty(shape)
        return self._kept[key]


def activated(activation: nn.Module, z: Tensor) -> Tensor:
    """The activation of z, in its place where nobody needs z any more."""
    match activation:
        case nn.Tanh():
            return tanh_(z)
        case nn.Sigmoid():
            return z.sigmoid_()
        case nn.ReLU():
            return z.relu_()
        case _:
            return activation(z)


def cross_entropies(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The mean cross-entropy of each run, `(runs,)`, and its gradient with respect to the outputs.

    Arguments:
        outputs: `(runs, batch, classes)`.
        targets: class numbers, `(runs, batch)`.
    """
    logarithms = outputs.log_softmax(-1)
    places = targets.unsqueeze(-1)
    losses = -logarithms.gather(-1, places).squeeze(-1).mean(1)
    gradient = logarithms.exp_()
    gradient.scatter_add_(-1, places, -torch.ones_like(places, dtype=gradient.dtype))
    return losses, gradient.div_(outputs.shape[1])
