"""Statistics of a layer's activations, computed for many layers at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vanishgrad.monitor.slopes import flatness
from vanishgrad.monitor.tape import Activated
from vanishgrad.norms import CHUNK, row_norms

COLUMNS = ("act_mean", "act_std", "saturation", "dead_fraction")


def activation_statistics(activations: Sequence[Activated]) -> Tensor:
    """Mean, standard deviation, saturation and dead fraction, `(layers, 4)` in float64.

    Mean and (population) deviation are over batch and units of the outputs; see `flatness` for the others.
    """
    device = activations[0].outputs.device if activations else None
    table = torch.empty(len(activations), len(COLUMNS), dtype=torch.float64, device=device)
    for indices in _alike(activations):
        chosen = [activations[index] for index in indices]
        outputs = torch.stack([one.outputs for one in chosen])
        inputs = outputs if _reads_outputs(chosen[0].module) else torch.stack([one.inputs for one in chosen])
        table[indices] = _statistics(chosen[0].module, inputs, outputs)
    return table


def _statistics(module: nn.Module, inputs: Tensor, outputs: Tensor) -> Tensor:
    flat = outputs.flatten(1)
    mean = flat.mean(1, keepdim=True)
    deviation = row_norms(flat - mean) / flat.shape[1] ** 0.5
    saturation, dead = flatness(module, inputs, outputs)
    return torch.stack([mean.squeeze(1).double(), deviation, saturation.double(), dead.double()], dim=1)


def _alike(activations: Sequence[Activated]) -> list[list[int]]:
    """Positions of activations of the same function and shape, in groups of bounded size."""
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for index, one in enumerate(activations):
        learned = id(one.module) if isinstance(one.module, nn.PReLU) else None
        groups[type(one.module), one.module.extra_repr(), learned, one.outputs.shape].append(index)
    bounded = []
    for members in groups.values():
        rows = max(1, CHUNK // max(1, activations[members[0]].outputs.numel()))
        bounded += [members[start : start + rows] for start in range(0, len(members), rows)]
    return bounded


def _reads_outputs(module: nn.Module) -> bool:
    """Whether `flatness` needs the outputs alone, which saves stacking the inputs."""
    return isinstance(module, (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Identity))
