"""The forward and backward pass of plain perceptrons, written out, for all runs of a stack at once.

Without building a graph; and every layer's dLoss/dz is at hand, which autograd would have to be asked for.
For a run alone the same kernels in the same order as autograd, so the same numbers to the last bit; for
several those that are quickest for many small matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from vanishgrad.choices.model.build import AnyNetwork
from vanishgrad.choices.model.feedforward import Network
from vanishgrad.engine.passes import StackedPass
from vanishgrad.measure.activations import reads_outputs
from vanishgrad.measure.measurement import Measurement
from vanishgrad.measure.recorded import Activated
from vanishgrad.measure.tape import RecordedPass, Written
from vanishgrad.modules.packed import Blocks
from vanishgrad.run import Run

aten = torch.ops.aten

Call = Callable[[], object]  # computes something, once more at every call, from and into memory that stays


class Function(NamedTuple):
    """The calls of an activation.

    `forward(module, z, y)` computes y = f(z), which lies where z does if its slope can be told from y;
    `backward(module, gradient, z, y)` turns dLoss/dy into dLoss/dz in its place. None for nothing to do.
    """

    forward: Callable[[Any, Tensor, Tensor], Call | None]
    backward: Callable[[Any, Tensor, Tensor, Tensor], Call | None]


FUNCTIONS: dict[type[nn.Module], Function] = {
    nn.Identity: Function(lambda module, z, y: None, lambda module, gradient, z, y: None),
    nn.Tanh: Function(
        lambda module, z, y: tanh_(z),
        lambda module, gradient, z, y: partial(
            aten.tanh_backward.grad_input, gradient, y, grad_input=gradient
        ),
    ),
    nn.Sigmoid: Function(
        lambda module, z, y: z.sigmoid_,
        lambda module, gradient, z, y: partial(
            aten.sigmoid_backward.grad_input, gradient, y, grad_input=gradient
        ),
    ),
    nn.ReLU: Function(
        lambda module, z, y: z.relu_,
        lambda module, gradient, z, y: partial(
            aten.threshold_backward.grad_input, gradient, y, 0, grad_input=gradient
        ),
    ),
    nn.GELU: Function(
        lambda module, z, y: partial(aten.gelu.out, z, approximate=module.approximate, out=y),
        lambda module, gradient, z, y: partial(
            aten.gelu_backward.grad_input, gradient, z, approximate=module.approximate, grad_input=gradient
        ),
    ),
    nn.SiLU: Function(
        lambda module, z, y: partial(aten.silu.out, z, out=y),
        lambda module, gradient, z, y: partial(
            aten.silu_backward.grad_input, gradient, z, grad_input=gradient
        ),
    ),
    nn.LeakyReLU: Function(
        lambda module, z, y: partial(aten.leaky_relu.out, z, module.negative_slope, out=y),
        lambda module, gradient, z, y: partial(
            aten.leaky_relu_backward.grad_input, gradient, z, module.negative_slope, False,
            grad_input=gradient,
        ),
    ),
}  # fmt: skip


class Layers(NamedTuple):
    """Linear layers with activations between them, as the passes read them; views of the stack's memory.

    Inside a chain the tensors of a run alone have no axis for the runs, `(...)` in place of `(runs, ...)`.
    """

    weights: list[Tensor]
    biases: list[Tensor]
    activations: Sequence[nn.Module]
    gradients: list[Tensor]  # of weight and bias of each layer in turn

    def forward(self, x: Tensor, zs: Sequence[Tensor], ys: Sequence[Tensor], outputs: Tensor) -> list[Call]:
        """The calls that fill z and y of every hidden layer, and the outputs."""
        calls: list[Call | None] = []
        for layer, (activation, z, y) in enumerate(zip(self.activations, zs, ys, strict=True)):
            calls += [*self._linear(layer, x, z), FUNCTIONS[type(activation)].forward(activation, z, y)]
            x = y
        return _there([*calls, *self._linear(-1, x, outputs)])

    def _linear(self, layer: int, x: Tensor, z: Tensor) -> list[Call]:
        weight, bias = self.weights[layer].transpose(-1, -2), self.biases[layer]
        if z.ndim == 2:
            return [partial(torch.addmm, bias, x, weight, out=z)]
        return [product(x, weight, z), partial(z.add_, bias.unsqueeze(1))]

    def backward(
        self, entered: Sequence[Tensor], zs: Sequence[Tensor], gradient: Tensor, deltas: Sequence[Tensor]
    ) -> list[Call]:
        """The calls that fill dLoss/dz of every hidden layer, and the gradients.

        Arguments:
            entered: what entered each layer.
            zs: of the hidden layers.
            gradient: dLoss/d(outputs).
            deltas: memory for dLoss/dz of the hidden layers, which may be the same for several.
        """
        calls: list[Call | None] = []
        for layer in range(len(entered) - 1, -1, -1):
            calls.append(partial(torch.sum, gradient, -2, out=self.gradients[2 * layer + 1]))
            calls.append(product(gradient.transpose(-1, -2), entered[layer], self.gradients[2 * layer]))
            if layer:
                delta, activation = deltas[layer - 1], self.activations[layer - 1]
                calls.append(product(gradient, self.weights[layer], delta))
                through = FUNCTIONS[type(activation)].backward
                calls.append(through(activation, delta, zs[layer - 1], entered[layer]))
                gradient = delta
        return _there(calls)


class Pass:
    """A pass over batches of one size, as calls on memory that is kept.

    Fresh memory would cost a page fault for every 4 KiB, and to find out at every step again what is to be
    called a tenth of a small network's step. The hidden layers' tensors lie side by side, so that they are
    measured at once.

    Arguments:
        layers: what it reads.
        shape: of the inputs, `([runs,] batch, features)`.
    """

    def __init__(self, layers: Layers, shape: torch.Size) -> None:
        self._layers, like = layers, layers.weights[0]
        self.inputs = like.new_empty(shape)
        self.outputs = like.new_empty((*shape[:-1], layers.weights[-1].shape[-2]))
        self.gradient = torch.empty_like(self.outputs)  # dLoss/d(outputs)
        self._hidden = len(layers.activations), *shape[:-1], layers.weights[0].shape[-2]
        self._ys = like.new_empty(self._hidden)
        separate = not all(map(reads_outputs, layers.activations))
        self._zs = torch.empty_like(self._ys) if separate else self._ys
        self.forward = layers.forward(self.inputs, list(self._zs), list(self._ys), self.outputs)
        turns = like.new_empty(2, *self._hidden[1:])  # which stays in the cache
        self.backward = self._backward([turns[layer % 2] for layer in range(1, self._hidden[0] + 1)])
        self._measured: tuple[list[Call], RecordedPass] | None = None

    def _backward(self, deltas: Sequence[Tensor]) -> list[Call]:
        return self._layers.backward([self.inputs, *self._ys], list(self._zs), self.gradient, deltas)

    def measured(self) -> tuple[list[Call], RecordedPass]:
        """The calls of a backward pass that keeps every layer's dLoss/dz, and what there is to measure."""
        if self._measured is None:
            deltas = torch.empty_like(self._ys)
            self._measured = self._backward(list(deltas)), RecordedPass(written=self._written(deltas))
        return self._measured

    def _written(self, deltas: Tensor) -> Written:
        hidden = [deltas] if len(deltas) else []
        blocks = [*hidden, self.gradient[None]]
        if self.inputs.ndim == 2:
            blocks = [block.unsqueeze(1) for block in blocks]
        zs = None if self._zs is self._ys else self._zs
        activated = Activated(self._layers.activations[0], self._ys, zs) if hidden else None
        return Written([block.transpose(0, 1) for block in blocks], activated)


class Chain:
    """A pass of linear layers with activations between them.

    What it gives lies in memory that the next pass overwrites.

    Arguments:
        run: one of the settings.
        activations: one after each hidden layer, equal, of a type in `FUNCTIONS`.
        values: the parameters of all runs, weight and bias of each layer in turn.
        gradients: where the gradients go.
        fixed: the positions of parameters that are not trained, whose gradients count as 0.
    """

    def __init__(
        self, run: Run, activations: Sequence[nn.Module], values: Blocks, gradients: Blocks,
        fixed: Sequence[int] = (),
    ) -> None:  # fmt: skip
        self._loss, self._runs, self._alone = run.criterion, values.runs, values.runs == 1
        parameters, places = (
            blocks.of_run(0) if self._alone else blocks.stacked for blocks in (values, gradients)
        )
        self._layers = Layers(parameters[::2], parameters[1::2], activations, places)
        self._gradients, self._fixed = gradients, [places[index] for index in fixed]
        self._quick = self._loss.classes and not self._alone
        self._passes: dict[torch.Size, Pass] = {}
        self._evaluations: dict[torch.Size, tuple[Tensor, list[Call], Tensor]] = {}

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
        x = inputs[0].flatten(1) if self._alone else inputs.flatten(2)
        steps = self._passes.get(x.shape)
        if steps is None:
            steps = self._passes[x.shape] = Pass(self._layers, x.shape)
        record = measurement is not None and measurement.everything
        backward, recorded = steps.measured() if record else (steps.backward, RecordedPass())
        with torch.no_grad(), diverging():
            steps.inputs.copy_(x)
            _do(steps.forward)
        losses, gradient = self._loss_and_gradient(steps.outputs, targets)
        with torch.no_grad(), diverging():
            steps.gradient.copy_(gradient)
            _do(backward)
            for place in self._fixed:
                place.zero_()
        if measurement is not None:
            measurement.take(recorded)
            measurement.gradients(self._gradients)
        return StackedPass(losses, None, steps.outputs[None] if self._alone else steps.outputs, targets)

    @torch.no_grad()
    def outputs(self, inputs: Tensor) -> Tensor | None:
        """The outputs of all runs for the same inputs `(batch, *example)`, `(runs, batch, outputs)`.

        None for a run alone, whose network is asked.
        """
        if self._alone:
            return None
        x = inputs.flatten(1)
        if x.shape not in self._evaluations:
            self._evaluations[x.shape] = self._evaluation(x.shape)
        entered, calls, outputs = self._evaluations[x.shape]
        entered.copy_(x)
        with diverging():
            _do(calls)
        return outputs

    def _evaluation(self, shape: torch.Size) -> tuple[Tensor, list[Call], Tensor]:
        """Memory for inputs that all runs share, the calls, and the outputs; two layers take turns."""
        layers, like = self._layers, self._layers.weights[0]
        inputs, width = like.new_empty(shape), layers.weights[0].shape[-2]
        memory = like.new_empty(3, self._runs, len(inputs), width)
        ys = [memory[layer % 2] for layer in range(len(layers.activations))]
        zs = [y if reads_outputs(f) else memory[2] for y, f in zip(ys, layers.activations, strict=True)]
        outputs = like.new_empty(self._runs, len(inputs), layers.weights[-1].shape[-2])
        return inputs, layers.forward(inputs.expand(self._runs, -1, -1), zs, ys, outputs), outputs

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
    served = all(type(activation) in FUNCTIONS for activation in activations)
    return activations if plain and served and len(linears) == len(activations) + 1 else None


def _there(calls: Iterable[Call | None]) -> list[Call]:
    return [call for call in calls if call is not None]


def _do(calls: Iterable[Call]) -> None:
    for call in calls:
        call()


def product(left: Tensor, right: Tensor, out: Tensor) -> Call:
    """The product of two matrices, for each run `(runs, rows, inner) @ (runs, inner, columns)`.

    On a CPU, of several runs, by numpy, whose BLAS takes two thirds of the time of torch's for many small
    matrices (`scripts/benchmark_sweep.py --only step`).
    """
    if out.ndim == 2:
        return partial(torch.mm, left, right, out=out)
    if out.device.type != "cpu":
        return partial(torch.bmm, left, right, out=out)
    return partial(np.matmul, left.numpy(), right.numpy(), out=out.numpy())


def tanh_(z: Tensor) -> Call:
    """The tanh of z in its place; of several runs on a CPU numpy's, which is twice as quick and as exact."""
    if z.ndim == 2 or z.device.type != "cpu":
        return z.tanh_
    return partial(np.tanh, z.numpy(), out=z.numpy())


def diverging() -> AbstractContextManager[None]:
    """Inside, numbers may overflow without a warning: a run that diverges is a result."""
    return np.errstate(over="ignore", invalid="ignore")


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
