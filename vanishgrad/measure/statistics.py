"""Statistics of a layer's activations, computed for many layers at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from vanishgrad.measure.activations import flatness
from vanishgrad.measure.recorded import Activated
from vanishgrad.modules.norms import SAFE, chunks, row_norms

COLUMNS = ("act_mean", "act_std", "saturation", "dead_fraction")


class ActivationStatistics:
    """Mean, deviation, saturation and dead fraction of layers, with working memory kept from call to call."""

    def __init__(self) -> None:
        self._memory: dict[tuple[object, ...], Tensor] = {}
        self._kinds: dict[nn.Module, object] = {}

    def __call__(self, activations: Sequence[Activated]) -> Tensor:
        """The columns of `activations`, `(4, layers)` in float64.

        Mean and (population) deviation are over batch and units of the outputs; `flatness` has the others.
        """
        if not activations:
            return torch.zeros(len(COLUMNS), 0, dtype=torch.float64)
        found, order = [], []
        kinds = [self._kind(one.module) for one in activations]
        for indices in chunks([one.outputs for one in activations], kinds):
            chosen = [activations[index] for index in indices]
            outputs = self._stack("outputs", [one.outputs for one in chosen])
            given = [one.inputs for one in chosen if one.inputs is not None]
            inputs = self._stack("inputs", given) if given else None
            found.append(self.of_rows(chosen[0].module, inputs, outputs))
            order += indices
        table = torch.cat(found, dim=1)
        return table if order == sorted(order) else table[:, torch.tensor(order).argsort().to(table.device)]

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
            known = type(module).__module__.startswith("torch.nn.") and not any(
                True for _ in module.parameters()
            )
            self._kinds[module] = (type(module), module.extra_repr()) if known else module
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
    """Named columns with an entry per weight matrix, some of which may not exist.

    Arguments:
        size: entries per column.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._values: dict[str, Tensor] = {}
        self._entries: dict[str, Mapping[int, int]] = {}

    def put(self, name: str, values: Tensor, entries: Mapping[int, int]) -> None:
        """A column whose entry `i` is `values[entries[i]]`, and does not exist where `entries` has no `i`."""
        self._values[name], self._entries[name] = values, entries

    def to_host(self, beside: Tensor | None = None) -> tuple[dict[str, list[float | None]], list[float]]:
        """All columns as Python numbers, None where an entry does not exist, and `beside`; one transfer."""
        device = next(iter(self._values.values())).device
        extra = torch.zeros(0) if beside is None else beside
        moved = [values.to(device, torch.float64) for values in (*self._values.values(), extra)]
        numbers = torch.cat(moved).tolist()
        columns, start = {}, 0
        for (name, entries), values in zip(self._entries.items(), self._values.values(), strict=True):
            part = numbers[start : start + len(values)]
            columns[name] = [part[entries[i]] if i in entries else None for i in range(self.size)]
            start += len(values)
        return columns, numbers[start:]
