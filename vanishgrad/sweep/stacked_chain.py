"""The forward and backward pass of a stack of plain perceptrons, written out as batched matrix products."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vanishgrad.choices.loss import CrossEntropy
from vanishgrad.choices.regularization import NoReg, WeightDecay
from vanishgrad.models.build import AnyNetwork
from vanishgrad.monitor.recorded import Activated, Awaited, Recorded
from vanishgrad.monitor.slopes import reads_outputs
from vanishgrad.monitor.tape import Pass
from vanishgrad.run import Run
from vanishgrad.sweep.products import diverging, multiply, tanh_
from vanishgrad.sweep.stacked_pass import StackedPass
from vanishgrad.sweep.storage import Blocks
from vanishgrad.training.chain import BACKWARD, Chain


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
        self._quick = isinstance(self._loss, CrossEntropy)
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
        seen = self._recorded(entered, zs, deltas) if keep else Pass()
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

    def _recorded(self, entered: list[Tensor], zs: list[Tensor | None], deltas: list[Tensor]) -> Pass:
        used = zip(self._activations, entered[1:], zs, strict=True)
        hidden = [Activated(activation, y, z) for activation, y, z in used]
        pairs = zip(deltas, [*hidden, None], strict=True)
        outputs = [
            Recorded(layer, Awaited(None, delta, axis=0), activated=activated)
            for layer, (delta, activated) in enumerate(pairs)
        ]
        return Pass(outputs=outputs)


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
