"""Initial values of every parameter, each weight matrix from a random stream of its own."""

from __future__ import annotations

import torch
from torch import nn

from vanishgrad.choices.initialization import fans, fill_bias_
from vanishgrad.choices.residual import Fixup, HighwayShortcut
from vanishgrad.models.recurrent.initialize import start_recurrent_
from vanishgrad.modules.weights import WeightMatrix, weight_matrices
from vanishgrad.run import Run
from vanishgrad.streams import stream


@torch.no_grad()
def initialize_(model: nn.Module, run: Run) -> None:
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
    if isinstance(run.residual, Fixup) and run.blocks:
        _fixup_(matrices, run)
    if isinstance(run.residual, HighwayShortcut):
        _open_gates_(matrices, run.residual.gate_bias)
    start_recurrent_(matrices, run)


def _draw_(matrix: WeightMatrix, run: Run) -> None:
    key = matrix.name.rsplit(".", 1)[-1]
    weight = torch.empty(matrix.weight.shape, dtype=matrix.weight.dtype)
    run.init.weight_(weight, run.act, stream(run.seed, "weight", key))
    _assign_(matrix, weight)
    if matrix.bias is not None:
        fill_bias_(run.init, matrix.bias, fans(weight)[0], run.act, stream(run.seed, "bias", key))


def _assign_(matrix: WeightMatrix, weight: torch.Tensor) -> None:
    if matrix.parametrization is None:
        matrix.weight.copy_(weight)
    else:
        setattr(matrix.module, matrix.attribute, weight)


def _fixup_(matrices: list[WeightMatrix], run: Run) -> None:
    """Rules 1 and 2 of Fixup: zero classifier and branch ends, the other branch layers scaled down."""
    blocks = run.blocks
    block_of = {layer: block for block in blocks for layer in block}
    for matrix in matrices:
        if block := block_of.get(matrix.layer):
            factor = len(blocks) ** (-1 / (2 * len(block) - 2))
            matrix.weight.mul_(0.0 if matrix.layer == block[-1] else factor)
    classifier = matrices[-1].module
    assert isinstance(classifier, nn.Linear)
    nn.init.zeros_(classifier.weight)
    nn.init.zeros_(classifier.bias)


def _open_gates_(matrices: list[WeightMatrix], gate_bias: float) -> None:
    for matrix in matrices:
        if "gate_" in matrix.name and matrix.bias is not None:
            matrix.bias.fill_(gate_bias)
