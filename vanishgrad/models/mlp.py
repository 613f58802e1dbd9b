"""The multilayer perceptron: plain, or with shortcuts around blocks of hidden layers."""

from __future__ import annotations

import math

from torch import nn

from vanishgrad.models.hidden import HiddenLayers, numbered
from vanishgrad.models.network import Network, Parts
from vanishgrad.models.shape import Shape, shapes
from vanishgrad.modules.weights import Linear
from vanishgrad.run import Run


def mlp(run: Run) -> Network:
    """The perceptron of `run`, its parameters not yet initialized."""
    layers = shapes(run, math.prod(run.data.shape))
    parts: Parts = {"flatten": nn.Flatten()} | HiddenLayers(run, "linear", _linear, layers).parts()
    parts["output"] = _linear(layers[-1])
    return Network(parts, numbered(parts, run.depth), run.recompute_every)


def _linear(shape: Shape, bias: bool = True) -> Linear:
    return Linear(shape.inputs, shape.outputs, bias=bias)
