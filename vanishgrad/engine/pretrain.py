"""One hidden layer after the other, each on the output of the one below."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vanishgrad.choices.protocol import Learner
from vanishgrad.engine.plan import batch_size_of, shuffled
from vanishgrad.modules.weights import weight_matrices
from vanishgrad.run import Run
from vanishgrad.streams import stream

CHUNK = 4096  # examples that are encoded or judged at a time


@dataclass(frozen=True)
class LayerEpoch:
    """The loss of a layer over all training inputs after `epoch` of its `epochs`; 0 is before any of them."""

    layer: int
    epoch: int
    epochs: int
    layers: int
    loss: float


@torch.no_grad()
def pretrain_(model: nn.Module, run: Run, inputs: Tensor, tell: Callable[[LayerEpoch], None]) -> None:
    """Train the hidden layers of a plain perceptron one by one, in place; the output layer stays as it is.

    A layer starts from the values it has, and its output without dropout is the next one's input. When a
    loss stops being finite it is told and pretraining ends there, the numbers left as they are: the network
    is then to be trained like any other, and found to diverge.

    Arguments:
        model: the network of `run`.
        run: the setting.
        inputs: the training inputs, `(n, *run.data.shape)`, scaled, on the model's device.
        tell: called before the first and after every epoch of a layer.

    Raises:
        SettingError: for a restricted Boltzmann machine on inputs outside [0, 1].
    """
    if not run.pretrain.pretrains:
        return
    activity = inputs.flatten(1)
    for layer in range(1, run.depth + 1):
        linear, act = model.get_submodule(f"linear_{layer}"), model.get_submodule(f"act_{layer}")
        assert isinstance(linear, nn.Linear)
        learner = run.pretrain.learner(linear, act, activity, _are_probabilities(run, activity, layer))
        for epoch, loss in enumerate(_losses(learner, run, activity, layer)):
            tell(LayerEpoch(layer, epoch, run.pretrain.epochs, run.depth, loss))
            if not math.isfinite(loss):
                return
        activity = torch.cat([act(linear(chunk)) for chunk in activity.split(CHUNK)])


def _are_probabilities(run: Run, inputs: Tensor, layer: int) -> bool:
    """Whether inputs are known to lie in [0, 1]: data as they are, activities by the range of `run.act`."""
    if layer > 1:
        return run.act.probability
    return bool(inputs.min() >= 0 and inputs.max() <= 1)


def _losses(learner: Learner, run: Run, inputs: Tensor, layer: int) -> Iterator[float]:
    """The loss over all `inputs` before training, and after every epoch of it."""
    noise = stream(run.seed, "pretrain", layer, "noise")
    order = stream(run.seed, "pretrain", layer, "order")
    size = batch_size_of(run, len(inputs))
    yield _mean_loss(learner, run, inputs, layer)
    for _ in range(run.pretrain.epochs):
        for rows in shuffled(len(inputs), size, order):
            learner.update_(inputs.index_select(0, rows.to(inputs.device)), noise)
        yield _mean_loss(learner, run, inputs, layer)


def _mean_loss(learner: Learner, run: Run, inputs: Tensor, layer: int) -> float:
    """Over all examples, with the same noise every time, so that epochs can be compared."""
    noise = stream(run.seed, "pretrain", layer, "evaluation")
    total = torch.zeros((), dtype=torch.float64, device=inputs.device)
    for chunk in inputs.split(CHUNK):
        total += learner.loss(chunk, noise).double() * len(chunk)
    return float(total) / len(inputs)


def first_layer_filters(model: nn.Module, run: Run) -> Tensor:
    """The weights of every unit of layer 1 as images, `(units, channels, height, width)`.

    A perceptron's have the size of an example, a convolution's that of its kernel.
    """
    weight = weight_matrices(model)[0].weight.detach()
    return run.model.filters(weight, run.data.shape)
