"""The gradient of a residual stream taken apart: dLoss/dx = shortcut term + branch term."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vanishgrad.choices.residual import Fork
from vanishgrad.measure.recorded import Awaited
from vanishgrad.modules.norms import chunks, norms
from vanishgrad.modules.observer import Gate
from vanishgrad.records import Cell

Blocks = Mapping[nn.Module, tuple[int, int]]  # of each fork: its residual block, that block's first layer


@dataclass
class Terms:
    """The stream of a residual block, split: what goes around the branch, and what goes into it.

    `split` takes the place of the gradients once they have been reduced: a row of what `split` returns.
    """

    fork: nn.Module
    direct: Awaited
    into: Awaited
    split: Tensor | None = None

    @property
    def gradients(self) -> tuple[Tensor, Tensor] | None:
        """The two terms, once both are there."""
        around, through = self.direct.gradient, self.into.gradient
        return None if around is None or through is None else (around, through)

    def reduce(self, _: Tensor) -> None:
        """Let go of the gradients as soon as both are there."""
        if (pair := self.gradients) is not None:
            (self.split,) = split(*([term] for term in pair))
            self.direct.gradient = self.into.gradient = None


def blocks_of(model: nn.Module) -> Blocks:
    """The residual blocks of `model`, counted from 1 at the input."""
    layers: dict[str, int] = getattr(model, "layer_of", {})
    forks = [(path, module) for path, module in model.named_modules() if isinstance(module, Fork)]
    places: dict[nn.Module, tuple[int, int]] = {}
    for number, (path, fork) in enumerate(forks, 1):
        block = path.removesuffix("fork")
        inside = [layer for name, layer in layers.items() if name.startswith(block)]
        places[fork] = number, min(inside, default=number)
    return places


@torch.no_grad()
def residual_rows(step: int, terms: Sequence[Terms], blocks: Blocks) -> list[tuple[Cell, ...]]:
    """Rows of residual_gradients.csv, in the order of the blocks; empty where a cosine does not exist."""
    rows = {one.fork: one.split for one in terms if one.split is not None}
    whole = [(one.fork, pair) for one in terms if (pair := one.gradients) is not None]
    if whole:
        table = split([around for _, (around, _) in whole], [through for _, (_, through) in whole])
        rows |= {fork: row for (fork, _), row in zip(whole, table, strict=True)}
    if not rows:
        return []
    places = [(fork, *place) for fork, place in blocks.items() if fork in rows]
    numbers = torch.stack([rows[fork] for fork, *_ in places]).tolist()  # one transfer for all blocks
    return [
        (step, block, layer, *lengths, None if math.isnan(cosine) else cosine)
        for (_, block, layer), (*lengths, cosine) in zip(places, numbers, strict=True)
    ]


@torch.no_grad()
def split(around: Sequence[Tensor], through: Sequence[Tensor]) -> Tensor:
    """How the two terms of each block's gradient compare, `(blocks, 4)` in float64.

    For y = x + F(x) the shortcut term is dLoss/dy times its 1, the branch term dLoss/dy times dF/dx.

    Arguments:
        around: of each block the gradient that comes around the branch, `(batch, ...)`.
        through: the gradient that comes through the branch.

    Returns:
        L2 norms of the sum, of the shortcut term and of the branch term, and the cosine between the two
        terms, NaN where one of them is 0.
    """
    sums = [one + other for one, other in zip(around, through, strict=True)]
    lengths = norms([*sums, *around, *through]).view(3, -1)
    groups = chunks(around)
    cosines = torch.cat([_cosines(around, through, lengths, group) for group in groups])
    order = torch.tensor([index for group in groups for index in group], device=cosines.device)
    return torch.stack([*lengths, cosines[order.argsort()]], dim=1)


def _cosines(
    around: Sequence[Tensor], through: Sequence[Tensor], lengths: Tensor, group: list[int]
) -> Tensor:
    """Of the blocks in `group`. Vectors are scaled to length 1 first: products of 1e-30 would be 0."""
    scaled = [
        torch.stack([terms[index] for index in group]).flatten(1)
        / lengths[row, group].to(terms[0].dtype)[:, None]
        for row, terms in ((1, around), (2, through))
    ]
    return (scaled[0] * scaled[1]).sum(1, dtype=torch.float64)


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
    return {place: math.hypot(*parts) for place, parts in lengths.items()}


@torch.no_grad()
def gate_rows(step: int, timed: Sequence[Timed]) -> list[tuple[Cell, ...]]:
    """Rows of gates.csv: the fractions of a gate's values near 0 and near 1, and their mean, by time step.

    Of gates alone, which are logistic; a candidate has no such ends.
    """
    return [
        (step, one.layer, gate.name, t, *figures)
        for one in timed
        for gate in one.gates
        if isinstance(gate.activation, nn.Sigmoid)
        for t, figures in enumerate(_activity(gate).tolist(), one.first)
    ]


def _activity(gate: Gate) -> Tensor:
    """Fraction near 0, fraction near 1 and mean of the gate's values at each time, `(time, 3)` in float64."""
    values = torch.stack(gate.values).flatten(1)
    columns = values < NEAR, values > 1 - NEAR, values
    return torch.stack([column.double().mean(1) for column in columns], dim=1)
