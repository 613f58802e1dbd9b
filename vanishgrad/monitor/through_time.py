"""Recurrent layers, time step by time step: the derivatives of their states, and what their gates do."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vanishgrad.monitor.tape import Awaited, Timed
from vanishgrad.norms import norms
from vanishgrad.records import Cell

NEAR = 0.1  # a gate below it counts as closed, above 1 - NEAR as open


@torch.no_grad()
def time_rows(step: int, timed: Sequence[Timed]) -> list[tuple[Cell, ...]]:
    """Rows of time_gradients.csv: L2 norms over the batch of dLoss/dh_t and dLoss/dc_t.

    Every later use of a state counts. Several passes of one step are one larger batch.
    """
    hidden = _lengths(timed, [one.hidden for one in timed])
    cell = _lengths(timed, [one.cell for one in timed])
    return [(step, layer, t, length, cell.get((layer, t))) for (layer, t), length in sorted(hidden.items())]


def _lengths(timed: Sequence[Timed], states: Sequence[list[Awaited]]) -> dict[tuple[int, int], float]:
    """(layer, t) -> the norm of the gradients that have arrived."""
    places: list[tuple[int, int]] = []
    gradients: list[Tensor] = []
    for one, awaited in zip(timed, states, strict=True):
        for t, state in enumerate(awaited, one.layer.first):
            if state.gradient is not None:
                places.append((one.layer.layer, t))
                gradients.append(state.gradient)
    squares: dict[tuple[int, int], list[float]] = defaultdict(list)
    for place, length in zip(places, norms(gradients).tolist(), strict=True):
        squares[place].append(length)
    return {place: float(torch.tensor(found, dtype=torch.float64).norm()) for place, found in squares.items()}


@torch.no_grad()
def gate_rows(step: int, timed: Sequence[Timed]) -> list[tuple[Cell, ...]]:
    """Rows of gates.csv: the fractions of a gate's values near 0 and near 1, and their mean, by time step.

    Of gates alone, which are logistic; a candidate has no such ends.
    """
    rows: list[tuple[Cell, ...]] = []
    for one in timed:
        for gate in one.layer.gates:
            if isinstance(gate.activation, nn.Sigmoid):
                values = torch.stack([value.detach() for value in gate.values]).flatten(1)
                numbers = torch.stack(
                    [
                        (values < NEAR).double().mean(1),
                        (values > 1 - NEAR).double().mean(1),
                        values.double().mean(1),
                    ],
                    1,
                ).tolist()
                rows += [
                    (step, one.layer.layer, gate.name, t, *found)
                    for t, found in enumerate(numbers, one.layer.first)
                ]
    return rows
