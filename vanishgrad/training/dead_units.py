"""Units that are dead on the whole training set."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vanishgrad.models.network import Network
from vanishgrad.models.observer import Unrolled
from vanishgrad.models.sequence import Sequence
from vanishgrad.monitor.slopes import is_activation, slope
from vanishgrad.records import Cell

CHUNK = 1024  # examples per forward pass


class Alive:
    """An observer that remembers which units of each activation had a slope on some example."""

    def __init__(self) -> None:
        self.units: dict[nn.Module, Tensor] = {}

    def module(self, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        if is_activation(module):
            found = (slope(module, inputs) != 0).any(0)
            self.units[module] = self.units.get(module, found) | found

    def fork(self, block: nn.Module, direct: Tensor, into: Tensor) -> None:
        return None

    def unrolled(self, layer: Unrolled) -> None:
        return None


@torch.no_grad()
def dead_rows(step: int, model: Network, inputs: Tensor) -> list[tuple[Cell, ...]]:
    """Rows of dead_units.csv: the fraction of units whose slope is exactly 0 on every one of the `inputs`.

    In evaluation mode, one row per hidden activation, numbered from the input; a unit of a convolution is
    one place of one channel.
    """
    alive, training = Alive(), model.training
    sequences = [module for module in model.modules() if isinstance(module, Sequence)]
    model.eval()
    for sequence in sequences:
        sequence.observer = alive
    try:
        for chunk in inputs.split(CHUNK):
            model(chunk)
    finally:
        for sequence in sequences:
            sequence.observer = None
        model.train(training)
    return [
        (step, layer, units.numel(), 1 - float(units.double().mean()))
        for layer, units in enumerate(alive.units.values(), 1)
    ]
