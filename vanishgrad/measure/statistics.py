"""Statistics of a layer's activations, computed for many layers at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vanishgrad.measure.activations import flatness
from vanishgrad.measure.recorded import Activated
from vanishgrad.modules.norms import CHUNK, SAFE, chunks, row_norms

COLUMNS = ("act_mean", "act_std", "saturation", "dead_fraction")


class ActivationStatistics:
    """Mean, deviation, saturation and dead fraction of layers, with working memory kept from call to call.

    Arguments:
        own: for each run of a stack its own module in place of the one that was called for all of them.
    """

    def __init__(self, own: Sequence[Mapping[nn.Module, nn.Module]] = ({},)) -> None:
        self._own = own
        self._memory: dict[tuple[object, ...], Tensor] = {}
        self._kinds: dict[nn.Module, object] = {}

    def __call__(self, activations: Sequence[Activated]) -> Tensor:
        """The columns of activations `(batch, ...)`, of a stack `(runs, batch, ...)`.

        They come as `(4, layers, runs)` in float64.

        Mean and (population) deviation are over batch and units of the outputs; `flatness` has the others.
        Layers of a run alone are stacked, since one operation on a stack costs a fraction of one per layer.
        """
        if not activations:
            return torch.zeros(len(COLUMNS), 0, len(self._own), dtype=torch.float64)
        if len(self._own) > 1:
            return torch.stack([self._of_layer(one) for one in activations], dim=1)
        parts, order = [], []
        kinds = [self._kind(one.module) for one in activations]
        for indices in chunks([one.outputs for one in activations], kinds):
            chosen = [activations[index] for index in indices]
            outputs = self._stack("outputs", [one.outputs for one in chosen])
            entered = [one.inputs for one in chosen if one.inputs is not None]
            inputs = self._stack("inputs", entered) if entered else None
            parts.append(self.of_rows(chosen[0].module, inputs, outputs))
            order += indices
        table = torch.cat(parts, dim=1)
        if order != sorted(order):
            table = table[:, torch.tensor(order).argsort().to(table.device)]
        return table[:, :, None]

    def of_block(self, hidden: Activated) -> Tensor:
        """The same of layers that lie side by side, `(layers, [runs,] batch, ...)`."""
        outputs, inputs, runs = hidden.outputs, hidden.inputs, len(self._own)
        few, parts = max(1, CHUNK // outputs[0].numel()), []
        for start in range(0, len(outputs), few):
            some = [None if one is None else one[start : start + few] for one in (inputs, outputs)]
            if runs > 1:
                some = [None if one is None else one.flatten(0, 1) for one in some]
            assert some[1] is not None
            parts.append(self.of_rows(hidden.module, some[0], some[1]))
        return torch.cat(parts, dim=1).view(len(COLUMNS), -1, runs)

    def _of_layer(self, one: Activated) -> Tensor:
        """The columns of one activation, `(4, runs)`; with parameters every run has its own."""
        if next(one.module.parameters(), None) is None:
            return self.of_rows(one.module, one.inputs, one.outputs)
        inputs = one.outputs if one.inputs is None else one.inputs
        return torch.cat([
            self.of_rows(own[one.module], inputs[row, None], one.outputs[row, None])
            for row, own in enumerate(self._own)
        ], dim=1)  # fmt: skip

    def of_rows(self, module: nn.Module, inputs: Tensor | None, outputs: Tensor) -> Tensor:
        """The columns of one activation, `(4, rows)`, from `(rows, batch, ...)`.

        The inputs may be None where the slope can be told from the outputs.
        """
        scratch = self._kept("scratch", outputs.shape, outputs)
        mean, deviation = _moments(outputs.flatten(1), scratch.flatten(1))
        saturation, dead = flatness(module, outputs if inputs is None else inputs, outputs, scratch)
        return torch.cat([mean, deviation, saturation, dead]).view(len(COLUMNS), -1)

    def _stack(self, use: str, tensors: Sequence[Tensor]) -> Tensor:
        shape = torch.Size((len(tensors), *tensors[0].shape))
        return torch.stack(list(tensors), out=self._kept(use, shape, tensors[0]))

    def _kept(self, use: str, shape: torch.Size, like: Tensor) -> Tensor:
        """Memory of that shape, from an earlier call if it can be."""
        key = use, shape, like.dtype, like.device
        if key not in self._memory:
            if len(self._memory) > 64:  # shapes change from call to call: keeping would only grow
                self._memory.clear()
            self._memory[key] = torch.empty(shape, dtype=like.dtype, device=like.device)
        return self._memory[key]

    def _kind(self, module: nn.Module) -> object:
        """Equal for modules that are the same function: torch's own without parameters, and equally set."""
        if module not in self._kinds:
            parameters = any(True for _ in module.parameters())
            plain = type(module).__module__.startswith("torch.nn.") and not parameters
            self._kinds[module] = (type(module), module.extra_repr()) if plain else module
        return self._kinds[module]


def _moments(rows: Tensor, scratch: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of each row, in float64 where float32 sums of finite numbers leave its range."""
    if rows.device.type != "cpu":
        return _summed(rows, scratch, exact=True)
    mean, deviation = _summed(rows, scratch, exact=False)
    safe = (deviation > SAFE[0]) & (deviation < SAFE[1])
    if not safe.all():
        mean[~safe], deviation[~safe] = _summed(rows[~safe], scratch[~safe], exact=True)
    return mean, deviation


def _summed(rows: Tensor, scratch: Tensor, exact: bool) -> tuple[Tensor, Tensor]:
    mean = rows.mean(1, keepdim=True, dtype=torch.float64 if exact else None)
    away = torch.sub(rows, mean.to(rows.dtype), out=scratch)
    deviation = row_norms(away, exact).double() / rows.shape[1] ** 0.5
    return mean.squeeze(1).double(), deviation


class Columns:
    """Named columns with an entry per weight matrix and run, some of which do not exist.

    Attributes:
        places: by column, where its values begin among the numbers of a run, and the entry of each matrix.
    """

    def __init__(self) -> None:
        self.places: dict[str, tuple[int, Mapping[int, int]]] = {}
        self._tables: list[Tensor] = []
        self._size = 0

    def put(self, name: str, values: Tensor, entries: Mapping[int, int]) -> None:
        """A column that has `values[entry]`, of `(entries, runs)`, for the matrices that `entries` names."""
        if not self._tables or self._tables[-1] is not values:  # several columns may share a table
            self._tables.append(values)
            self._size += len(values)
        self.places[name] = self._size - len(values), entries

    def of_matrix(self, matrix: int, names: Sequence[str]) -> list[int]:
        """Where its entries of some columns stand among the numbers of a run; -1 for those without."""
        found = [self.places.get(name, (0, {})) for name in names]
        return [start + entries[matrix] if matrix in entries else -1 for start, entries in found]

    def to_host(self, extra: Tensor | None = None) -> tuple[list[list[Any]], list[float]]:
        """The numbers of each run, and those of the vector `extra`; one transfer."""
        device = self._tables[0].device
        tables = [values.to(device, torch.float64) for values in self._tables]
        table = torch.cat(tables).T  # (runs, entries)
        if extra is None:
            return table.tolist(), []
        numbers = torch.cat([table.flatten(), extra.to(device, torch.float64)]).tolist()
        rows, count = table.shape
        return [numbers[row * count : (row + 1) * count] for row in range(rows)], numbers[rows * count :]
