"""How far the weights have moved: in one step, and since the start."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from vanishgrad.modules.norms import checked, chunks, neighbours, row_norms
from vanishgrad.modules.packed import Blocks, lengths
from vanishgrad.modules.weights import WeightMatrix


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
        self._chunks = [Chunk(members, weights) for members in chunks(weights)]
        self._scratch = {chunk.start.shape: torch.empty_like(chunk.start) for chunk in self._chunks}
        self._device = weights[0].device
        order = [index for chunk in self._chunks for index in chunk.members]
        self._order = None if order == sorted(order) else torch.tensor(order, device=self._device).argsort()
        self._start_norms = self._norms = checked(self._device, self._start_lengths)[0]
        self.started = {index: index for index, norm in enumerate(self._start_norms.tolist()) if norm != 0}

    @torch.no_grad()
    def keep(self) -> tuple[Tensor, Tensor]:
        """Remember the weights as they are before a step: ||W|| and ||W - W_0|| / ||W_0||, `(matrices,)`."""
        weights = self._current()
        self._norms, distances = checked(self._device, lambda exact: self._lengths(weights, exact))
        return self._norms, distances / self._start_norms

    @torch.no_grad()
    def change(self) -> Tensor:
        """||W_now - W_kept|| / ||W_kept||, `(matrices,)`."""
        weights = self._current()
        return checked(self._device, lambda exact: self._changes(weights, exact))[0] / self._norms

    def _start_lengths(self, exact: bool) -> Tensor:
        return self._together([row_norms(chunk.start, exact) for chunk in self._chunks])

    def _lengths(self, weights: Sequence[Tensor], exact: bool) -> Tensor:
        """||W|| and ||W - W_0||, `(2, matrices)`."""
        lengths, moved = [], []
        for chunk in self._chunks:
            before = chunk.before.copy_(chunk.now(weights, self._scratch[chunk.start.shape]))
            lengths.append(row_norms(before, exact))
            scratch = self._scratch[before.shape]
            moved.append(row_norms(torch.sub(before, chunk.start, out=scratch), exact))
        return self._together(lengths, moved)

    def _changes(self, weights: Sequence[Tensor], exact: bool) -> Tensor:
        """||W_now - W_kept||, `(1, matrices)`."""
        moved = []
        for chunk in self._chunks:
            scratch = self._scratch[chunk.before.shape]
            moved.append(row_norms(torch.sub(chunk.now(weights, scratch), chunk.before, out=scratch), exact))
        return self._together(moved)

    def _together(self, *columns: list[Tensor]) -> Tensor:
        """Norms chunk by chunk, as rows in the order of the matrices."""
        rows = torch.cat([norms for column in columns for norms in column]).view(len(columns), -1)
        return rows if self._order is None else rows.index_select(1, self._order)

    def _current(self) -> list[Tensor]:
        """The weights as they are now: parameters, and what is computed from parameters."""
        pairs = zip(self._parameters, self._matrices, strict=True)
        return [matrix.weight if parameter is None else parameter for parameter, matrix in pairs]


class Chunk:
    """Weights of equal shape as stacks, `(rows, *shape)`: at the start and before a step."""

    def __init__(self, members: list[int], weights: Sequence[Tensor]) -> None:
        mine = [weights[index] for index in members]
        self.members, self.start = members, torch.stack(mine)
        self.before = torch.empty_like(self.start)
        self._together = neighbours(mine)
        self._places = [weight.data_ptr() for weight in mine]

    def now(self, weights: Sequence[Tensor], scratch: Tensor) -> Tensor:
        """The weights as they are now; a view where they lie side by side, else a copy in `scratch`."""
        mine = [weights[index] for index in self.members]
        if self._together is not None and [weight.data_ptr() for weight in mine] == self._places:
            return self._together
        return torch.stack(mine, out=scratch)


class StackedHistory:
    """The weights of all runs at the start, before a step and after it, as `WeightHistory` has them.

    Arguments:
        values: the parameters, as they are initially.
        weights: the positions of the weight matrices among them.
    """

    def __init__(self, values: Blocks, weights: Sequence[int]) -> None:
        self._values, self._weights = values, weights
        self._blocks = sorted({values.places[position][0] for position in weights})
        self._start = [block.clone() for block in self._now]
        self._before = [torch.empty_like(block) for block in self._start]
        self._scratch = [torch.empty_like(block) for block in self._start]
        (self._norms,) = self._of_matrices(self._start)
        self._start_norms = self._norms

    @property
    def _now(self) -> list[Tensor]:
        return [self._values.all[number] for number in self._blocks]

    def keep(self) -> tuple[Tensor, Tensor, Tensor]:
        """Remember the weights as they are before a step: ||W||, ||W - W_0|| / ||W_0||, where W_0 is 0.

        Each is `(matrices, runs)`.
        """
        for before, now in zip(self._before, self._now, strict=True):
            before.copy_(now)
        self._norms, moved = self._of_matrices(self._before, self._less(self._before, self._start))
        return self._norms, moved / self._start_norms, self._start_norms == 0

    def change(self) -> tuple[Tensor, Tensor]:
        """||W_now - W_kept|| / ||W_kept||, and where W_kept is 0, each `(matrices, runs)`."""
        (moved,) = self._of_matrices(self._less(self._now, self._before))
        return moved / self._norms, self._norms == 0

    def _less(self, here: Sequence[Tensor], there: Sequence[Tensor]) -> list[Tensor]:
        """The difference, in memory that the next one overwrites."""
        for one, other, scratch in zip(here, there, self._scratch, strict=True):
            torch.sub(one, other, out=scratch)
        return self._scratch

    def _of_matrices(self, *stacks: Sequence[Tensor]) -> Tensor:
        """The norm of each weight matrix of each run, for each of the stacks: `(stacks, matrices, runs)`."""
        blocks = [block for stack in stacks for block in stack]
        sizes = lengths(blocks).view(len(stacks), -1, blocks[0].shape[1])
        starts = dict(zip(self._blocks, [0, *accumulate(map(len, self._start))], strict=False))
        places = [self._values.places[position] for position in self._weights]
        return sizes[:, [starts[block] + position for block, position in places]]
