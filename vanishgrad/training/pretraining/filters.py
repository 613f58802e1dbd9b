"""What the units of the first layer look for."""

from __future__ import annotations

from torch import Tensor, nn

from vanishgrad.choices.model import MLP
from vanishgrad.layers import weight_matrices
from vanishgrad.run import Run


def first_layer_filters(model: nn.Module, run: Run) -> Tensor:
    """The weights of every unit of layer 1 as images, `(units, channels, height, width)`.

    A perceptron's have the size of an example, a convolution's that of its kernel.
    """
    weight = weight_matrices(model)[0].weight.detach()
    return weight.reshape(-1, *run.data.shape) if isinstance(run.model, MLP) else weight
