"""Units that are dead on the whole training set."""

from __future__ import annotations

from torch import Tensor, nn

from vanishgrad.models.evaluation_mode import evaluation_mode
from vanishgrad.models.observer import Unrolled
from vanishgrad.models.residual import HighwayShortcut
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


def dead_rows(step: int, model: nn.Module, inputs: Tensor) -> list[tuple[Cell, ...]]:
    """Rows of dead_units.csv: the fraction of units whose slope is exactly 0 on every one of the `inputs`.

    In evaluation mode, one row per hidden activation, numbered from the input; a unit of a convolution is
    one place of one channel.
    """
    alive, sequences = Alive(), _with_hidden_activations(model)
    for sequence in sequences:
        sequence.observer = alive
    try:
        with evaluation_mode(model):
            for chunk in inputs.split(CHUNK):
                model(chunk)
    finally:
        for sequence in sequences:
            sequence.observer = None
    return [
        (step, layer, units.numel(), 1 - float(units.double().mean()))
        for layer, units in enumerate(alive.units.values(), 1)
    ]


def _with_hidden_activations(model: nn.Module) -> list[Sequence]:
    """The sequences inside `model` but for the gates of highway blocks, whose sigmoids are no layer's."""
    gates = {block.gate for block in model.modules() if isinstance(block, HighwayShortcut)}
    return [part for part in model.modules() if isinstance(part, Sequence) and part not in gates]
