"""How far the weights have moved: in one step, and since the start."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vanishgrad.layers import WeightMatrix
from vanishgrad.norms import checked, chunks, row_norms


class WeightHistory:
    """The weights at the start, before a step and after it.

    The change is measured, not taken as rate times gradient: when gradients vanish, float32 addition rounds
    the real change to 0. Memory is taken once, and each chunk of weights is done with before the next one is
    touched, so that it is fetched into the processor's cache once.

    Arguments:
        matrices: the weight matrices, with their initial values. `started` maps to themselves the positions
            of those that did not start at 0.
    """

    @torch.no_grad()
    def __init__(self, matrices: Sequence[WeightMatrix]) -> None:
        self._matrices = matrices
        self._parameters = [None if m.parametrization else m.weight for m in matrices]
        weights = self._current()
        self._members = chunks(weights)
        order = [index for members in self._members for index in members]
        self._device = weights[0].device
        self._order = torch.tensor(order, device=self._device).argsort()
        self._start = [torch.stack([weights[index] for index in members]) for members in self._members]
        self._before = [torch.empty_like(stack) for stack in self._start]
        self._scratch = {stack.shape: torch.empty_like(stack) for stack in self._start}
        found = checked(
            self._device, lambda exact: torch.cat([row_norms(stack, exact) for stack in self._start])
        )
        self._start_norms = self._norms = found.index_select(0, self._order)
        self.started = {index: index for index, norm in enumerate(self._start_norms.tolist()) if norm != 0}

    @torch.no_grad()
    def keep(self) -> tuple[Tensor, Tensor]:
        """Remember the weights as they are before a step: ||W|| and ||W - W_0|| / ||W_0||, `(matrices,)`."""
        weights = self._current()
        lengths, distances = checked(self._device, lambda exact: self._lengths(weights, exact))
        self._norms = lengths.index_select(0, self._order)
        return self._norms, distances.index_select(0, self._order) / self._start_norms

    @torch.no_grad()
    def change(self) -> Tensor:
        """||W_now - W_kept|| / ||W_kept||, `(matrices,)`."""
        weights = self._current()
        distances = checked(self._device, lambda exact: self._changes(weights, exact))
        return distances.index_select(0, self._order) / self._norms

    def _lengths(self, weights: Sequence[Tensor], exact: bool) -> Tensor:
        """||W|| and ||W - W_0||, `(2, matrices)` in the order of the chunks."""
        lengths, distances = [], []
        for members, start, before in zip(self._members, self._start, self._before, strict=True):
            torch.stack([weights[index] for index in members], out=before)
            lengths.append(row_norms(before, exact))
            distances.append(row_norms(torch.sub(before, start, out=self._scratch[start.shape]), exact))
        return torch.cat(lengths + distances).view(2, -1)

    def _changes(self, weights: Sequence[Tensor], exact: bool) -> Tensor:
        """||W - W_kept||, `(matrices,)` in the order of the chunks."""
        distances = []
        for members, before in zip(self._members, self._before, strict=True):
            now = torch.stack([weights[index] for index in members], out=self._scratch[before.shape])
            distances.append(row_norms(now.sub_(before), exact))
        return torch.cat(distances)

    def _current(self) -> list[Tensor]:
        """The weights as they are now: parameters, and what is computed from parameters."""
        pairs = zip(self._parameters, self._matrices, strict=True)
        return [matrix.weight if parameter is None else parameter for parameter, matrix in pairs]
