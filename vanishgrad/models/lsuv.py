"""Layer-sequential unit-variance initialization: the half that needs data (Mishkin and Matas 2016)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from vanishgrad.choices.initialization import LSUV
from vanishgrad.modules.dropout import SeededDropout
from vanishgrad.modules.weights import WeightMatrix, weight_matrices


@torch.no_grad()
def unit_variance_(model: nn.Module, batch: Tensor, init: LSUV) -> None:
    """Divide each layer's weights by its output's deviation on `batch`, from the input up, until it is 1.

    One forward pass does it: a layer is rescaled when the pass reaches it, and passes its new output on.
    Batch statistics are used where the model normalizes over batches; its running statistics are reset.
    """
    for module in model.modules():
        module.train(not isinstance(module, SeededDropout))
    handles = [m.module.register_forward_hook(_rescale_(m, init)) for m in weight_matrices(model)]
    try:
        model(batch)
    finally:
        for handle in handles:
            handle.remove()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
    model.train()


def _rescale_(matrix: WeightMatrix, init: LSUV) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        for _ in range(init.max_iterations):
            variance = output.double().var().item()
            if abs(variance - 1) < init.tolerance or not 0 < variance < math.inf:
                break
            _divide_(matrix, math.sqrt(variance))
            output = module.forward(*inputs)
        return output

    return hook


def _divide_(matrix: WeightMatrix, factor: float) -> None:
    owner = matrix.parametrization
    scaled = matrix.weight if owner is None else owner.original0
    scaled.div_(factor)  # type: ignore[operator]
