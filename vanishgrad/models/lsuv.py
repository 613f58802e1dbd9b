"""Layer-sequential unit-variance initialization: the half that needs data (Mishkin and Matas 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vanishgrad.choices.initialization import LSUV
from vanishgrad.layers import WeightMatrix, weight_matrices
from vanishgrad.models.dropout import SeededDropout


@torch.no_grad()
def unit_variance_(model: nn.Module, batch: Tensor, init: LSUV) -> None:
    """Divide each layer's weights by its output's deviation on `batch`, from the input up, until it is 1.

    Batch statistics are used where the model normalizes over batches; its running statistics are reset.
    """
    model.train()
    for module in model.modules():
        module.train(not isinstance(module, SeededDropout))
    for matrix in weight_matrices(model):
        for _ in range(init.max_iterations):
            variance = _output_variance(model, matrix, batch)
            if abs(variance - 1) < init.tolerance or not 0 < variance < float("inf"):
                break
            _divide_(matrix, variance**0.5)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
    model.train()


class _Reached(Exception):
    """Ends a forward pass at the layer of interest: what comes after it is not needed."""


def _output_variance(model: nn.Module, matrix: WeightMatrix, batch: Tensor) -> float:
    found = []

    def stop(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found.append(output.double().var().item())
        raise _Reached

    handle = matrix.module.register_forward_hook(stop)
    try:
        model(batch)
    except _Reached:
        pass
    finally:
        handle.remove()
    return float(found[0])


def _divide_(matrix: WeightMatrix, factor: float) -> None:
    owner = matrix.parametrization
    scaled = matrix.weight if owner is None else owner.original0
    scaled.div_(factor)  # type: ignore[operator]
