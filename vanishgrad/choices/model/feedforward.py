"""Feedforward networks: the multilayer perceptron and the convolutional network, plain or with shortcuts."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vanishgrad.choices.activation import ReLU
from vanishgrad.choices.model.family import Shape, shapes
from vanishgrad.choices.model.feedforward_theory import predict_convolutions, predict_perceptron
from vanishgrad.choices.protocol import Activation, Cost, Model, Setting
from vanishgrad.choices.residual import Resize, ScalarBias, ScalarMultiplier
from vanishgrad.errors import at_least, require
from vanishgrad.modules.dropout import SeededDropout, replay
from vanishgrad.modules.observer import Sequence
from vanishgrad.modules.weights import Conv2d, Linear
from vanishgrad.theory.prediction import Inputs, Prediction


@dataclass(frozen=True)
class MLP(Model):
    """The multilayer perceptron; its input is flattened."""

    name: ClassVar[str] = "mlp"
    default_act: ClassVar[Activation] = ReLU()
    feedforward: ClassVar[bool] = True
    plain_layers: ClassVar[bool] = True
    one_scale: ClassVar[bool] = True

    def network(self, setting: Setting) -> Network:
        layers = shapes(setting, math.prod(setting.data.shape))
        parts: Parts = {"flatten": nn.Flatten()} | HiddenLayers(setting, "linear", _linear, layers).parts()
        parts["output"] = _linear(layers[-1])
        return Network(parts, layer_numbers(parts, setting.depth), setting.recompute_every)

    def cost(self, setting: Setting) -> Cost:
        square = setting.width**2
        parameters = max(0, setting.depth - 1) * square
        return Cost(parameters, setting.width * _per_unit(setting), square, _memory_advice(setting))

    def predict(self, setting: Setting, inputs: Inputs) -> Prediction:
        return predict_perceptron(setting, inputs)

    def filters(self, weight: Tensor, shape: tuple[int, ...]) -> Tensor:
        return weight.reshape(-1, *shape)

    def refuse_data(self, setting: Setting) -> None:
        model, data = f"model={self.name}", setting.data
        require(
            not data.frames,
            f"{model} with data={data.name}: answers once per example, not with frames; use model=conv_lstm",
        )
        require(
            not data.of_symbols,
            f"{model} with data={data.name}: reads numbers, not symbols one after the other; use model=rnn, "
            "lstm or gru",
        )

    def refuse(self, setting: Setting) -> None:
        setting.norm.module(setting.width)  # refuses what cannot normalize this width


@dataclass(frozen=True)
class CNN(Model):
    """A network of `depth` 3x3 convolutions, global average pooling and a linear classifier.

    With shortcuts it is the ResNet for small images (He et al. 2016), pre-activation, with shortcuts that
    have no parameters (option A: subsampled, new channels zero); without them the plain network.

    Arguments:
        stages: parts of equal depth, a remainder in the last; each but the first begins by halving the
            image and doubling the channels, `width` in the first.
    """

    stages: int = 3
    name: ClassVar[str] = "cnn"
    default_act: ClassVar[Activation] = ReLU()
    feedforward: ClassVar[bool] = True
    convolutions: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least("model.stages", self.stages, 1)

    def network(self, setting: Setting) -> Network:
        """Stages as in He et al. 2016, Deep residual learning, section 4.2; blocks as in Identity mappings.

        Where a block changes the size, its stream takes a shortcut without parameters, `Resize`; before
        dense blocks too, which so need no transition layer. Without hidden layers it is the linear model on
        the pixels.
        """
        data, layers = setting.data, shapes(setting, setting.data.shape[0], self.stages)
        parts = HiddenLayers(setting, "conv", _conv, layers, bias=_has_biases(setting), spatial=2).parts()
        if setting.depth:
            parts["pool"] = nn.AdaptiveAvgPool2d(1)
        parts["flatten"] = nn.Flatten()
        features = layers[-1].inputs if setting.depth else math.prod(data.shape)
        parts["output"] = Linear(features, data.outputs)
        return Network(parts, layer_numbers(parts, setting.depth), setting.recompute_every)

    def cost(self, setting: Setting) -> Cost:
        square, pixels = 9 * setting.width**2, math.prod(setting.data.shape[1:])
        values = setting.width * pixels * _per_unit(setting, self.stages)
        parameters = max(0, setting.depth - 1) * square
        return Cost(parameters, values, square * pixels, _memory_advice(setting))

    def predict(self, setting: Setting, inputs: Inputs) -> Prediction:
        return predict_convolutions(setting, inputs, self.stages)

    def refuse_data(self, setting: Setting) -> None:
        require(
            len(setting.data.shape) == 3,
            f"model={self.name} with data={setting.data.name}: needs images, channels x height x width; use "
            "data=digits, mnist, fashion_mnist or cifar10, without data.sequence",
        )

    def refuse(self, setting: Setting) -> None:
        """Every stage needs an image left, and the norm maps of more than a pixel."""
        side = min(setting.data.shape[1:])
        require(
            2 ** (self.stages - 1) <= side,
            f"model.stages={self.stages}: halves images of side {side} more often than it can; use fewer",
        )
        halved = 2 ** (min(self.stages, setting.span_count) - 1)
        require(
            not setting.norm.of_maps or halved < side,
            f"norm={setting.norm.name} with model.stages={self.stages}: the maps of the last stage are 1x1 "
            "pixels, whose only value is always 0; use fewer stages",
        )
        setting.norm.module(setting.width, spatial=2)  # refuses what cannot normalize this width


Parts = dict[str, nn.Module]
Context = AbstractContextManager[None]


class Network(Sequence):
    """Modules applied one after the other, `(batch, *example) -> (batch, outputs)`.

    Arguments:
        parts: the modules by name, in order.
        layer_of: the layer of every weight matrix by its module path, counted from 1 at the input.
        recompute_every: hidden layers (at least) per segment whose inner activations are not kept but
            computed again in the backward pass (Chen et al. 2016); 0 keeps everything.
    """

    def __init__(self, parts: Mapping[str, nn.Module], layer_of: Mapping[str, int], recompute_every: int = 0):
        super().__init__(OrderedDict(parts))
        self.layer_of = dict(layer_of)
        self.output_name = max(self.layer_of, key=self.layer_of.__getitem__)
        self.recompute_every = recompute_every

    def forward(self, x: Tensor) -> Tensor:
        if not (self.recompute_every and self.training):
            return super().forward(x)
        for segment in self._segments():
            x = checkpoint(
                segment, x, use_reentrant=False, preserve_rng_state=False, context_fn=_contexts(segment)
            )
        return x

    def _segment(self, children: list[nn.Module]) -> Sequence:
        segment = Sequence(*children)
        segment.observer = self.observer
        return segment

    def _segments(self) -> Iterator[Sequence]:
        """Modules in a row with `recompute_every` layers each, or a few more."""
        per_child = Counter(path.split(".")[0] for path in self.layer_of)
        children: list[nn.Module] = []
        layers = 0
        for name, child in self.named_children():
            if layers >= self.recompute_every and per_child[name]:
                yield self._segment(children)
                children, layers = [], 0
            children.append(child)
            layers += per_child[name]
        yield self._segment(children)


def _contexts(segment: nn.Module) -> Callable[[], tuple[Context, Context]]:
    """The contexts of a segment's first and second forward pass."""
    return lambda: (nullcontext(), replay(segment))


@dataclass(frozen=True)
class HiddenLayers:
    """The hidden layers of a run, their parameters not yet initialized.

    Plain layers are matrix, norm, activation (or matrix, activation, norm). With shortcuts, layer 1 is the
    stem and the blocks are in pre-activation form (norm, activation, matrix), closed by a last activation
    before the output; highway blocks are in plain form, as in their paper.

    Arguments:
        setting: the run.
        kind: how a layer's matrix is called: linear or conv.
        matrix: makes one from its shape, with a bias or without.
        shapes: of the layers, the output layer's last.
        bias: whether matrices have one; gates do in any case, layers in fixup's branches never.
        spatial: dimensions of a unit's map; 0 where it is a number.
    """

    setting: Setting
    kind: str
    matrix: Callable[[Shape, bool], nn.Module]
    shapes: list[Shape]
    bias: bool = True
    spatial: int = 0

    def parts(self) -> Parts:
        """The modules by name, in order."""
        blocks = self.setting.blocks
        if not blocks:
            return self._plain(range(1, self.setting.depth + 1))
        if self.setting.residual.gated:
            stem = self._plain(range(1, 2))
            return stem | {f"block_{n}": self._gated(block, len(blocks)) for n, block in enumerate(blocks, 1)}
        stem = {f"{self.kind}_1": self._matrix(1)}
        parts = stem | {f"block_{n}": self._block(block, len(blocks)) for n, block in enumerate(blocks, 1)}
        parts |= self._activated(self.setting.depth + 1, self.shapes[-1].inputs)
        return parts | ({"bias_output": ScalarBias()} if self.setting.residual.scalars else {})

    def _shape(self, layer: int) -> Shape:
        return self.shapes[layer - 1]

    def _matrix(self, layer: int) -> nn.Module:
        scalar_bias = self.setting.residual.scalars and layer > 1
        return self.setting.norm.wrap(self.matrix(self._shape(layer), self.bias and not scalar_bias))

    def _activated(self, index: int, width: int) -> Parts:
        """Normalization, activation and dropout on the way out of layer `index`, or into it in a block."""
        setting, norm = self.setting, self.setting.norm
        parts: Parts = {f"act_{index}": setting.act.module()}
        module = norm.module(width, self.spatial)
        if module is not None:
            normalized: Parts = {f"norm_{index}": module}
            parts = normalized | parts if norm.position == "pre" else parts | normalized
        if setting.residual.scalars and setting.depth > 1:
            parts = {f"bias_act_{index}": ScalarBias()} | parts
        if setting.reg.drops:
            parts[f"dropout_{index}"] = SeededDropout(setting.reg.dropout, setting.seed, index)
        return parts

    def _plain(self, layers: range) -> Parts:
        parts: Parts = {}
        for layer in layers:
            parts[f"{self.kind}_{layer}"] = self._matrix(layer)
            parts |= self._activated(layer, self._shape(layer).outputs)
        return parts

    def _block(self, layers: range, blocks: int) -> nn.Module:
        """A residual block, one of so many, in pre-activation form."""
        parts: Parts = {}
        for layer in layers:
            parts |= self._activated(layer, self._shape(layer).inputs)
            if self.setting.residual.scalars:
                parts[f"bias_{layer}"] = ScalarBias()
            parts[f"{self.kind}_{layer}"] = self._matrix(layer)
        if self.setting.residual.scalars:
            parts["multiplier"] = ScalarMultiplier()
        return self.setting.residual.module(_in_a_row(parts), blocks, self._resize(layers))

    def _gated(self, layers: range, blocks: int) -> nn.Module:
        """A block in plain form with a gate next to it."""
        gate = self.setting.norm.wrap(self.matrix(self._shape(layers[0]), True))
        gated = _in_a_row({f"gate_{layers[0]}": gate, "sigmoid": nn.Sigmoid()})
        branch = _in_a_row(self._plain(layers))
        return self.setting.residual.module(branch, blocks, self._resize(layers), gated)

    def _resize(self, layers: range) -> Resize | None:
        """What gives the stream the size that the block's branch has; None where it has it already."""
        shape = self._shape(layers[0])
        new = 0 if self.setting.residual.concatenates else shape.outputs - shape.inputs
        return Resize(shape.stride, new) if new or shape.stride > 1 else None


def _in_a_row(parts: Parts) -> Sequence:
    return Sequence(OrderedDict(parts))


def layer_numbers(parts: Parts, depth: int) -> dict[str, int]:
    """The layer of every matrix, read off its module's name; the output layer comes after the hidden ones."""
    numbers = {}
    for name, part in parts.items():
        for path, module in part.named_modules(prefix=name):
            if isinstance(module, nn.Linear | nn.Conv2d):
                suffix = path.rsplit("_", 1)[-1]
                numbers[path] = int(suffix) if suffix.isdigit() else depth + 1
    return numbers


def _linear(shape: Shape, bias: bool = True) -> Linear:
    return Linear(shape.inputs, shape.outputs, bias=bias)


def _conv(shape: Shape, bias: bool) -> Conv2d:
    return Conv2d(shape.inputs, shape.outputs, 3, stride=shape.stride, padding=1, bias=bias)


def _has_biases(setting: Setting) -> bool:
    """Whether convolutions have biases: not where a normalization or fixup's scalars shift every channel."""
    return not (setting.norm.shifts or (setting.residual.scalars and setting.blocks))


def _per_unit(setting: Setting, stages: int = 1) -> float:
    """Full-sized maps (or numbers) in a layer's output per unit of width, averaged over equal stages.

    From stage to stage maps are a quarter as large and twice as many. Dense blocks do not double them, but
    their first layer reads all that came before.
    """
    used = min(stages, setting.span_count)
    if not setting.residual.concatenates:
        return sum(2.0**-stage for stage in range(used)) / used
    growth = setting.span_count / (used * setting.residual.every)
    return sum(4.0**-stage * (1 + (stage + 1 / 2) * growth) for stage in range(used)) / used


def _memory_advice(setting: Setting) -> str:
    return "lower depth, width or batch_size" + (
        "" if setting.recompute_every else ", or set recompute_every"
    )
