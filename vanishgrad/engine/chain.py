"""The forward and backward pass of plain perceptrons, written out, for all runs of a stack at once.

Without building a graph; and every layer's dLoss/dz is at hand, which autograd would have to be asked for.
For a run alone the same kernels in the same order as autograd, so the same numbers to the last bit; for
several those that are quickest for many small matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vanishgrad.choices.model.build import AnyNetwork
from vanishgrad.choices.model.feedforward import Network
from vanishgrad.engine.passes import StackedPass
from vanishgrad.measure.activations import reads_outputs
from vanishgrad.measure.measurement import Measurement
from vanishgrad.measure.recorded import Activated, Awaited, Recorded
from vanishgrad.measure.tape import RecordedPass
from vanishgrad.modules.packed import Blocks
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


class Chain:
    """Linear layers with activations between them; reads the parameters at every pass.

    What a pass gives lies in memory that the next pass overwrites: fresh memory costs a page fault for
    every 4 KiB. Inside, the tensors of a run alone have no axis for the runs: a view for each of them would
    cost a tenth of a small network's pass.

    Arguments:
        run: one of the settings.
        activations: one after each hidden layer, of a type in `BACKWARD`.
        values: the parameters of all runs, weight and bias of each layer in turn.
        gradients: where the gradients go.
        fixed: the positions of parameters that are not trained, whose gradients count as 0.
    """

    def __init__(
        self, run: Run, activations: Sequence[nn.Module], values: Blocks, gradients: Blocks,
        fixed: Sequence[int] = (),
    ) -> None:  # fmt: skip
        self._loss, self._activations, self._runs = run.criterion, activations, values.runs
        self._alone = values.runs == 1
        parameters, self._places = (
            blocks.of_run(0) if self._alone else blocks.stacked for blocks in (values, gradients)
        )
        self._weights, biases = parameters[::2], parameters[1::2]
        self._biases = biases if self._alone else [bias.unsqueeze(1) for bias in biases]  # (runs, 1, width)
        self._transposed = [weight.transpose(-1, -2) for weight in self._weights]
        self._gradients, self._fixed = gradients, [self._places[index] for index in fixed]
        self._backward = [BACKWARD[type(activation)] for activation in activations]
        self._quick = self._loss.classes and not self._alone
        self._training, self._evaluating = Memory(), Memory()

    @classmethod
    def of(
        cls, run: Run, model: AnyNetwork, values: Blocks, gradients: Blocks, fixed: Sequence[int] = ()
    ) -> Chain | None:
        """A stack of networks like `model` as a chain; None where only autograd serves."""
        activations = None if run.reg.penalizes else _activations(model)
        return None if activations is None else cls(run, activations, values, gradients, fixed)

    def __call__(
        self, inputs: Tensor, targets: Tensor, measurement: Measurement | None = None
    ) -> StackedPass:
        """Forward and backward on `(runs, batch, *example)`, measured if a measurement is given."""
        record = measurement is not None and measurement.everything
        with torch.no_grad(), diverging():
            entered, zs, outputs = self._forward(inputs[0].flatten(1) if self._alone else inputs.flatten(2))
        losses, gradient = self._loss_and_gradient(outputs, targets)
        with torch.no_grad(), diverging():
            deltas = self._back(gradient, entered, zs, record)
            for place in self._fixed:
                place.zero_()
        if measurement is not None:
            measurement.take(self._recorded(entered, zs, deltas) if record else RecordedPass())
            measurement.gradients(self._gradients)
        return StackedPass(losses, None, outputs[None] if self._alone else outputs, targets)

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
    def outputs(self, inputs: Tensor) -> Tensor | None:
        """The outputs of all runs for the same inputs `(batch, *example)`, `(runs, batch, outputs)`.

        None for a run alone, whose network is asked.
        """
        if self._alone:
            return None
        x = inputs.flatten(1).expand(self._runs, -1, -1)
        with diverging():
            for layer, activation in enumerate(self._activations):
                x = activated(activation, self._linear(layer, x, self._evaluating, layer % 2))
            return self._linear(-1, x, self._evaluating, "outputs")

    def _linear(self, layer: int, x: Tensor, memory: Memory, use: object) -> Tensor:
        weight, bias = self._transposed[layer], self._biases[layer]
        z = memory(use, (*x.shape[:-1], weight.shape[-1]), x)
        return torch.addmm(bias, x, weight, out=z) if self._alone else multiply(x, weight, z).add_(bias)

    def _loss_and_gradient(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The mean losses, `(runs,)`, and their gradients with respect to the outputs."""
        if self._quick and not targets.is_floating_point():
            return cross_entropies(outputs, targets)
        leaf = outputs.detach().requires_grad_()
        if self._alone:
            loss = self._loss(leaf, targets[0])
            return loss.detach()[None], torch.autograd.grad(loss, leaf)[0]
        losses = torch.vmap(self._loss)(leaf, targets)
        return losses.detach(), torch.autograd.grad(losses.sum(), leaf)[0]

    def _back(
        self, gradient: Tensor, entered: list[Tensor], zs: list[Tensor | None], keep: bool
    ) -> list[Tensor]:
        """dLoss/dz of each layer, if they are to be kept; gradients of weights and biases go to their places.

        Those that nobody keeps take turns in memory that stays in the cache.
        """
        deltas, places = [gradient], self._places
        together = self._together(entered, gradient) if keep and len(entered) > 1 else []
        for layer in range(len(entered) - 1, -1, -1):
            torch.sum(gradient, -2, out=places[2 * layer + 1])
            multiply(gradient.transpose(-1, -2), entered[layer], places[2 * layer])
            if layer:
                place = together[layer - 1] if together else self._turn(layer, entered[layer], gradient)
                arrived = multiply(gradient, self._weights[layer], place)
                activation, backward = self._activations[layer - 1], self._backward[layer - 1]
                gradient = backward(activation, arrived, zs[layer - 1], entered[layer])
                deltas.append(gradient)
        return deltas[::-1] if keep else []

    def _together(self, entered: list[Tensor], like: Tensor) -> list[Tensor]:
        """Memory for dLoss/dz of all hidden layers, side by side, so that their norms are taken at once."""
        hidden = entered[1:]
        return list(self._training("deltas", (len(hidden), *hidden[0].shape), like).unbind())

    def _turn(self, layer: int, entered: Tensor, like: Tensor) -> Tensor:
        return self._training(("delta", layer % 2), entered.shape, like)

    def _recorded(self, entered: list[Tensor], zs: list[Tensor | None], deltas: list[Tensor]) -> RecordedPass:
        used = zip(self._activations, entered[1:], zs, strict=True)
        hidden = [Activated(activation, y, z) for activation, y, z in used]
        pairs = zip(deltas, [*hidden, None], strict=True)
        outputs = [
            Recorded(layer, Awaited(None, delta, axis=None if self._alone else 0), activated=activated)
            for layer, (delta, activated) in enumerate(pairs)
        ]
        blocks: list[Tensor] = []
        if self._alone and len(entered) > 1:
            together = self._training("deltas", (len(entered) - 1, *entered[1].shape), entered[1])
            blocks = [together, deltas[-1][None]]
        return RecordedPass(outputs=outputs, deltas=blocks)


def _activations(model: AnyNetwork) -> list[nn.Module] | None:
    """The activations of a plain chain; None for a network with anything else in it."""
    if not isinstance(model, Network) or not isinstance(model[0], nn.Flatten) or model.recompute_every:
        return None
    layers = list(model)[1:]  # the first only flattens the input
    linears, activations = layers[::2], layers[1::2]
    plain = all(
        type(linear).forward is nn.Linear.forward and not hasattr(linear, "parametrizations")
        for linear in linears
    )
    served = all(type(activation) in BACKWARD for activation in activations)
    return activations if plain and served and len(linears) == len(activations) + 1 else None


def multiply(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """The product of two matrices, for each run `(runs, rows, inner) @ (runs, inner, columns)`.

    On a CPU, of several runs, by numpy, whose BLAS takes two thirds of the time of torch's for many small
    matrices (`scripts/benchmark_sweep.py --only step`).
    """
    if out.ndim == 2:
        torch.mm(left, right, out=out)
    elif out.device.type != "cpu":
        torch.bmm(left, right, out=out)
    else:
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
    """The activation of z `([runs,] batch, width)`, in its place where nobody needs z any more."""
    match activation:
        case nn.Tanh():
            return z.tanh_() if z.ndim == 2 else tanh_(z)
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
