"""The convolutional network: plain, or a residual network in stages."""

from __future__ import annotations

import math

from torch import nn

from vanishgrad.choices.model import CNN
from vanishgrad.choices.normalization import NoNorm, RMSNorm, WeightNorm
from vanishgrad.choices.residual import Fixup
from vanishgrad.models.hidden import HiddenLayers, numbered
from vanishgrad.models.network import Network, Parts
from vanishgrad.models.shape import Shape, shapes
from vanishgrad.modules.weights import Conv2d, Linear
from vanishgrad.run import Run


def cnn(run: Run) -> Network:
    """The convolutional network of `run`, its parameters not yet initialized.

    `depth` 3x3 convolutions in stages, global average pooling, a linear output (He et al. 2016, Deep
    residual learning, section 4.2; blocks as in Identity mappings). Where a block changes the size, its
    stream takes a shortcut without parameters, `Resize`; before dense blocks too, which so need no
    transition layer. Without hidden layers it is the linear model on the pixels.
    """
    assert isinstance(run.model, CNN)
    layers = shapes(run, run.data.shape[0], run.model.stages)
    parts: Parts = HiddenLayers(run, "conv", _conv, layers, bias=_has_biases(run), spatial=2).parts()
    if run.depth:
        parts["pool"] = nn.AdaptiveAvgPool2d(1)
    parts["flatten"] = nn.Flatten()
    features = layers[-1].inputs if run.depth else math.prod(run.data.shape)
    parts["output"] = Linear(features, run.data.outputs)
    return Network(parts, numbered(parts, run.depth), run.recompute_every)


def _conv(shape: Shape, bias: bool) -> Conv2d:
    return Conv2d(shape.inputs, shape.outputs, 3, stride=shape.stride, padding=1, bias=bias)


def _has_biases(run: Run) -> bool:
    """Whether convolutions have biases: not where a normalization or fixup's scalars shift every channel."""
    shifted = not isinstance(run.norm, NoNorm | WeightNorm | RMSNorm)
    return not (shifted or (isinstance(run.residual, Fixup) and run.blocks))
