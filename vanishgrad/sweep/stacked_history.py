"""How far the weights of all runs in a stack have moved: in one step, and since the start."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from vanishgrad.sweep.storage import Blocks, lengths


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
