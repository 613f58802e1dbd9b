"""From a setting to a network with its initial values."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vanishgrad.choices.data import load
from vanishgrad.choices.initialization import fans
from vanishgrad.choices.named import is_choice
from vanishgrad.choices.protocol import Model, Setting
from vanishgrad.errors import require, short
from vanishgrad.modules.packed import side_by_side_
from vanishgrad.modules.weights import WeightMatrix, weight_matrices
from vanishgrad.streams import stream

AnyNetwork = nn.Module  # one that has `layer_of` and `output_name`


def build(run: Setting) -> nn.Module:
    """The network of `run` with its initial weights, on the CPU, in training mode.

    `(batch, *run.data.shape) -> (batch, run.data.outputs)`; `(batch, time, run.data.outputs)` where there is
    a target at every time step, and predicted frames `(batch, time, channels, height, width)`. Only
    `init=lsuv` reads the data, and data=text its vocabulary.

    Example:
        >>> import torch
        >>> from vanishgrad import Run, build
        >>> build(Run(depth=3, width=8))(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    require(
        is_choice(type(getattr(run, "model", None)), Model),
        f"build({short(run)}): takes a Run, such as Run(depth=20, act='sigmoid')",
    )
    model = blank(run)
    side_by_side_(model.parameters())
    initialize_(model, run)
    if run.init.measures_data:
        run.init.finish_(model, _sample(run).to(getattr(torch, run.dtype)))
    return model


def blank(run: Setting) -> nn.Module:
    """The network of `run` with undefined values. Under `torch.device("meta")` it takes no memory."""
    return run.model.network(run).to(getattr(torch, run.dtype))


def _sample(run: Setting) -> Tensor:
    """The first training examples in an order of their own, `(run.init.sample_size, *shape)`."""
    inputs = load(run.data).train_x
    chosen = torch.randperm(len(inputs), generator=stream(run.seed, "lsuv"))[: run.init.sample_size]
    return inputs[chosen]


@torch.no_grad()
def initialize_(model: nn.Module, run: Setting) -> None:
    """Fill all parameters and buffers of `model` in place, on the CPU.

    A weight's stream is named after its module, so that two runs that differ in depth, in shortcuts or in
    anything else that adds or removes modules still start with the same values where both have them.
    """
    matrices = weight_matrices(model)
    for matrix in matrices:
        _draw_(matrix, run)
    owners = {matrix.module for matrix in matrices}
    for module in model.modules():
        reset = getattr(module, "reset_parameters", None)
        if reset is not None and module not in owners:
            reset()
    run.residual.start_(matrices, run.blocks)
    run.model.start_(matrices, run)


def _draw_(matrix: WeightMatrix, run: Setting) -> None:
    key = matrix.name.rsplit(".", 1)[-1]
    weight = torch.empty(matrix.weight.shape, dtype=matrix.weight.dtype)
    run.init.weight_(weight, run.act, stream(run.seed, "weight", key))
    _assign_(matrix, weight)
    if matrix.bias is not None:
        run.init.bias_(matrix.bias, fans(weight)[0], run.act, stream(run.seed, "bias", key))


def _assign_(matrix: WeightMatrix, weight: Tensor) -> None:
    if matrix.parametrization is None:
        matrix.weight.copy_(weight)
    else:
        setattr(matrix.module, matrix.attribute, weight)
