"""What enters each layer's activation before training and after, and where the activation is flat."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vanishgrad.choices.model import CNN, MLP
from vanishgrad.data import load
from vanishgrad.errors import require
from vanishgrad.models import build
from vanishgrad.monitor.slopes import FLAT, max_slope, slope
from vanishgrad.records import ACTIVATIONS_ARRAYS, write_arrays
from vanishgrad.run import Run
from vanishgrad.training.machine import threads
from vanishgrad.training.trained import load_trained

EXAMPLES = 512
REACH = 6.0  # on either side of 0; what lies beyond counts at the ends
BINS = 60


def write_activation_inputs(folder: Path) -> None:
    """Write activations.npz of a run: what the first training examples give in every hidden layer.

    `edges` of the bins, `(bins + 1,)`; `start` and `end`, the fraction of a layer's inputs in each bin,
    `(layers, bins)`, of the initial network and of the trained one; `flat`, `(bins,)`, whether the slope in
    the middle of a bin is under 5 % of the largest.

    Raises:
        SettingError: when the folder has no checkpoint, or of a recurrent network, whose gates are no layers.
    """
    trained = load_trained(folder)
    run = trained.run
    require(
        isinstance(run.model, MLP | CNN), f"{folder}: model={run.model.name} has no layers of activations"
    )
    edges = torch.linspace(-REACH, REACH, BINS + 1, dtype=torch.float64)
    with threads(1):
        histograms = {
            "start": _histograms(build(run), run, edges), "end": _histograms(trained.model, run, edges),
        }  # fmt: skip
        module = run.act.module().to(torch.float64)
        steep = slope(module, (edges[1:] + edges[:-1]) / 2).abs()
    arrays: dict[str, Any] = {name: each.numpy() for name, each in histograms.items()}
    flat = (steep < FLAT * max_slope(module)).numpy()
    write_arrays(folder / ACTIVATIONS_ARRAYS, edges=edges.numpy(), flat=flat, **arrays)


@torch.no_grad()
def _histograms(model: nn.Module, run: Run, edges: Tensor) -> Tensor:
    """`(layers, bins)`, each row with sum 1; normalization over the batch, as in training."""
    found: list[Tensor] = []
    kind = type(run.act.module())

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        values = inputs[0].detach().double().clamp(edges[0], edges[-1]).flatten()
        found.append(torch.histogram(values[values.isfinite()], edges).hist)

    hooks = [each.register_forward_hook(keep) for each in model.modules() if type(each) is kind]
    inputs = load(run.data).train_x[:EXAMPLES].to(getattr(torch, run.dtype))
    model.train()
    model(inputs)
    for hook in hooks:
        hook.remove()
    require(bool(found), f"act={run.act.name}: the network has no layer with an activation")
    counts = torch.stack(found)
    return counts / counts.sum(1, keepdim=True).clamp(min=1)
