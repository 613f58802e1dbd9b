"""How far the weights have moved: in one step, and since the start."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vanishgrad.layers import WeightMatrix
from vanishgrad.norms import chunks, row_norms


class WeightHistory:
    """The weights at the start, before a step and after it.

    The change is measured, not taken as rate times gradient: when gradients vanish, float32 addition rounds
    the real change to 0. All memory is taken once, since fresh memory costs more than the sums done in it.

    Arguments:
        matrices: the weight matrices, with their initial values. `started` maps to themselves the positions
            of those that did not start at 0.
    """

    @torch.no_grad()
    def __init__(self, matrices: Sequence[WeightMatrix]) -> None:
        self._matrices = matrices
        self._parameters = [None if m.parametrization else m.weight for m in matrices]
        weights = self._current()
        self._chunks = [Chunk(indices, weights) for indices in chunks(weights)]
        order = [index for chunk in self._chunks for index in chunk.indices]
        self._order = torch.tensor(order, device=weights[0].device).argsort()
        self._start_norms = self._norms = self._rows(lambda chunk: chunk.start)
        self.started = {index: index for index, norm in enumerate(self._start_norms.tolist()) if norm != 0}

    @torch.no_grad()
    def keep(self) -> tuple[Tensor, Tensor]:
        """Remember the weights as they are before a step: ||W|| and ||W - W_0|| / ||W_0||, `(matrices,)`."""
        weights = self._current()
        for chunk in self._chunks:
            chunk.gather(weights, chunk.before)
        self._norms = self._rows(lambda chunk: chunk.before)
        moved = self._rows(lambda chunk: torch.sub(chunk.before, chunk.start, out=chunk.scratch))
        return self._norms, moved / self._start_norms

    @torch.no_grad()
    def change(self) -> Tensor:
        """||W_now - W_kept|| / ||W_kept||, `(matrices,)`."""
        weights = self._current()
        moved = self._rows(lambda chunk: chunk.gather(weights, chunk.scratch).sub_(chunk.before))
        return moved / self._norms

    def _rows(self, stack_of: Callable[[Chunk], Tensor]) -> Tensor:
        """The norms of the rows of a stack of every chunk, in the order of the matrices."""
        found = row_norms(lambda: map(stack_of, self._chunks))
        return found.index_select(0, self._order)

    def _current(self) -> list[Tensor]:
        """The weights as they are now: parameters, and what is computed from parameters."""
        pairs = zip(self._parameters, self._matrices, strict=True)
        return [matrix.weight if parameter is None else parameter for parameter, matrix in pairs]


class Chunk:
    """Weights of equal shape as stacks, `(rows, *shape)`: at the start, before a step, and to compute with."""

    def __init__(self, indices: list[int], weights: Sequence[Tensor]) -> None:
        self.indices = indices
        self.start = torch.stack([weights[index] for index in indices])
        self.before = torch.empty_like(self.start)
        self.scratch = torch.empty_like(self.start)

    def gather(self, weights: Sequence[Tensor], out: Tensor) -> Tensor:
        """This chunk's share of all weights, copied to `out`."""
        return torch.stack([weights[index] for index in self.indices], out=out)
