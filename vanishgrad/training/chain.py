"""The forward and backward pass of a plain perceptron, written out.

The same kernels in the same order as autograd, so the same numbers to the last bit, without building a graph;
and every layer's dLoss/dz is at hand, which autograd would have to be asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from vanishgrad.choices.loss import Loss
from vanishgrad.models.build import AnyNetwork
from vanishgrad.models.layout import side_by_side
from vanishgrad.models.network import Network
from vanishgrad.monitor.recorded import Activated, Awaited, Recorded
from vanishgrad.monitor.slopes import reads_outputs

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
