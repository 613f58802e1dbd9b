"""Recurrent layers, time step by time step: the derivatives of their states, and what their gates do."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vanishgrad.models.observer import Gate
from vanishgrad.monitor.recorded import Awaited
from vanishgrad.norms import norms
from vanishgrad.records import Cell

NEAR = 0.1  # a gate below it counts as closed, above 1 - NEAR as open


@dataclass(frozen=True)
class Timed:
    """One recurrent layer over time: its states, each awaiting its full derivative, and its gates.

    Arguments:
        layer: its number.
        first: the time of the first state.
        hidden: h_t, one after the other.
        cell: c_t in the same way; empty for a layer without cells.
        gates: what they gave, outside of the graph.
    """

    layer: int
    first: int
    hidden: list[Awaited]
    cell: list[Awaited]
    gates: list[Gate]


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
        for t, state in enumerate(awaited, one.first):
            if state.gradient is not None:
                places.append((one.layer, t))
                gradients.append(state.gradient)
    lengths: dict[tuple[int, int], list[float]] = defaultdict(list)
    for place, length in zip(places, norms(gradients).tolist(), strict=True):
        lengths[place].append(length)
    return {place: math.hypot(*found) for place, found in lengths.items()}


@torch.no_grad()
def gate_rows(step: int, timed: Sequence[Timed]) -> list[tuple[Cell, ...]]:
    """Rows of gates.csv: the fractions of a gate's values near 0 and near 1, and their mean, by time step.

    Of gates alone, which are logistic; a candidate has no such ends.
    """
    return [
        (step, one.layer, gate.name, t, *found)
        for one in timed
        for gate in one.gates
        if isinstance(gate.activation, nn.Sigmoid)
        for t, found in enumerate(_activity(gate).tolist(), one.first)
    ]


def _activity(gate: Gate) -> Tensor:
    """Fraction near 0, fraction near 1 and mean of the gate's values at each time, `(time, 3)` in float64."""
    values = torch.stack(gate.values).flatten(1)
    columns = values < NEAR, values > 1 - NEAR, values
    return torch.stack([column.double().mean(1) for column in columns], dim=1)
