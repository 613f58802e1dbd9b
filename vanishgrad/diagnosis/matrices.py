"""Rows of gradients.csv as arrays of steps and layers, without pandas: quick enough for every logged step."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from vanishgrad.records import GRADIENT_COLUMNS, Cell

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]

FIRST = GRADIENT_COLUMNS.index("name") + 1
MEASURED = GRADIENT_COLUMNS[FIRST:]
NORMS = [MEASURED.index(name) for name in ("grad_norm", "bias_grad_norm", "weight_norm")]
AVERAGED = [MEASURED.index(name) for name in ("act_mean", "act_std", "saturation", "dead_fraction")]
CHANGES = {"update_ratio": False, "weight_drift": True}  # whether they are relative to the weights at first
DELTA, WEIGHT = MEASURED.index("delta_norm"), MEASURED.index("weight_norm")
# The last part of a module's path: the gate without its source, as i_2 of both xi_2 and hi_2.
GATE = re.compile(r"(?:.*\.)?[xh]([a-z]*_\d+)")


@dataclass(frozen=True, eq=False)
class Matrices:
    """The weight matrices of a network, in the order of the rows of one step.

    Arguments:
        layer: of each.
        names: of each; empty where they are not known.
    """

    layer: tuple[int, ...]
    names: tuple[str, ...] = ()

    @property
    def layers(self) -> Ints:
        """The layers, each once."""
        return np.unique(np.array(self.layer, dtype=np.int64))

    def by_layer(self, values: Floats, first: Floats) -> Floats:
        """`(steps, matrices, columns)` -> `(steps, layers, columns)`.

        Matrices of one layer are taken as if they were one, as `layers.by_layer` does it for a table.

        Arguments:
            values: what was measured, columns as in `MEASURED`.
            first: norms of the weights at the first step, `(matrices,)`.
        """
        if len(set(self.layer)) == len(self.layer):
            return values[:, np.argsort(self.layer, kind="stable")]
        order = np.argsort(self.layer, kind="stable")
        starts = np.searchsorted(np.array(self.layer)[order], self.layers)
        ordered = values[:, order]
        found = np.full((len(values), len(starts), len(MEASURED)), np.nan)
        found[:, :, NORMS] = _root_sum_square(ordered[:, :, NORMS], starts)
        found[:, :, AVERAGED] = _mean(ordered[:, :, AVERAGED], starts)
        for name, at_first in CHANGES.items():
            column = MEASURED.index(name)
            scale = first[order][None] if at_first else ordered[:, :, WEIGHT]
            changed = _root_sum_square((ordered[:, :, column] * scale)[:, :, None], starts)
            with np.errstate(divide="ignore", invalid="ignore"):
                found[:, :, column] = (changed / _root_sum_square(scale[:, :, None], starts))[:, :, 0]
        found[:, :, DELTA] = self._deltas(values[:, :, DELTA])
        return found

    def _deltas(self, delta: Floats) -> Floats:
        """dLoss/dz of every layer `(steps, layers)`: matrices that are added up to one z count once."""
        gates = self._gates()
        sums = np.stack([np.fmax.reduce(delta[:, members], axis=1) for members in gates.values()], axis=1)
        layer = np.array([key[0] for key in gates])
        order = np.argsort(layer, kind="stable")
        starts = np.searchsorted(layer[order], self.layers)
        return _root_sum_square(sums[:, order, None], starts)[:, :, 0]

    def _gates(self) -> dict[tuple[int, str], list[int]]:
        """The places of the matrices whose outputs are added up, by layer and gate."""
        found: dict[tuple[int, str], list[int]] = {}
        names = self.names or tuple(map(str, range(len(self.layer))))
        for place, (layer, name) in enumerate(zip(self.layer, names, strict=True)):
            gate = GATE.fullmatch(name)
            found.setdefault((layer, gate[1] if gate else name), []).append(place)
        return found


def matrices_of(rows: Sequence[Sequence[Cell]]) -> Matrices:
    """Those of one step's rows, whose cells are in the order of GRADIENT_COLUMNS."""
    layer, name = GRADIENT_COLUMNS.index("layer"), GRADIENT_COLUMNS.index("name")
    return Matrices(tuple(int(row[layer] or 0) for row in rows), tuple(str(row[name]) for row in rows))


def values_of(rows: Sequence[Sequence[Cell]]) -> Floats:
    """What was measured in one step, `(matrices, columns)`; NaN where a figure does not exist."""
    return np.array([row[FIRST:] for row in rows], dtype=np.float64)


def _root_sum_square(values: Floats, starts: Ints) -> Floats:
    """Over the matrices of each layer; scaled by the largest: 1e-200 squared would be 0, 1e200 infinite."""
    largest = np.fmax.reduceat(values, starts, axis=1)
    scale = np.where((largest > 0) & np.isfinite(largest), largest, 1.0)
    sizes = np.diff(np.append(starts, values.shape[1]))
    square = (values / np.repeat(scale, sizes, axis=1)) ** 2
    total = np.add.reduceat(np.where(np.isnan(square), 0.0, square), starts, axis=1)
    return np.where(np.isnan(largest), np.nan, np.sqrt(total) * scale)


def _mean(values: Floats, starts: Ints) -> Floats:
    """Over the matrices of each layer that have the figure."""
    known = ~np.isnan(values)
    total = np.add.reduceat(np.where(known, values, 0.0), starts, axis=1)
    with np.errstate(invalid="ignore"):
        return total / np.add.reduceat(known, starts, axis=1, dtype=np.float64)
