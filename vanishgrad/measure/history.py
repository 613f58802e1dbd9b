"""How far the weights have moved: in one step, and since the start."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from vanishgrad.modules.norms import Runs, chunks, neighbours, norms_by_range, row_norms


class WeightHistory:
    """The weights at the start, before a step and after it.

    The change is measured, not taken as rate times gradient: when gradients vanish, float32 addition rounds
    the real change to 0. All memory is taken once, since fresh memory costs more than the sums done in it.

    Attributes:
        started: `(matrices, runs)`, whether a matrix did not start at 0.

    Arguments:
        current: gives the weight matrices as they are now, each `(*shape)`, of a stack `(runs, *shape)`.
        runs: how many there are.
    """

    @torch.no_grad()
    def __init__(self, current: Callable[[], Sequence[Tensor]], runs: int = 1) -> None:
        self._current = current
        weights = current()
        self._chunks = [Chunk(members, weights, runs == 1) for members in chunks(weights)]
        self._scratch = {chunk.start.shape: torch.empty_like(chunk.start) for chunk in self._chunks}
        self._device = weights[0].device
        order = [index for chunk in self._chunks for index in chunk.members]
        self._order = None if order == sorted(order) else torch.tensor(order, device=self._device).argsort()
        self._start_norms = self._norms = self._measured(
            lambda chunk, exact, runs: [_lengths(chunk.start, exact, runs)]
        )[0]
        self.started = self._start_norms != 0

    @torch.no_grad()
    def keep(self) -> tuple[Tensor, Tensor]:
        """Remember the weights before a step: ||W|| and ||W - W_0|| / ||W_0||, `(matrices, runs)`."""
        weights = self._current()

        def lengths(chunk: Chunk, exact: bool, runs: Runs) -> list[Tensor]:
            before, scratch = chunk.before, self._scratch[chunk.start.shape]
            now = chunk.now(weights, before)
            if now is not before:
                before.copy_(now)
            torch.sub(before, chunk.start, out=scratch)
            return [_lengths(stack, exact, runs) for stack in (before, scratch)]

        self._norms, distances = self._measured(lengths, 2)
        return self._norms, distances / self._start_norms

    @torch.no_grad()
    def change(self) -> Tensor:
        """||W_now - W_kept|| / ||W_kept||, `(matrices, runs)`."""
        weights = self._current()

        def moved(chunk: Chunk, exact: bool, runs: Runs) -> list[Tensor]:
            scratch = self._scratch[chunk.start.shape]
            torch.sub(chunk.now(weights, scratch), chunk.before, out=scratch)
            return [_lengths(scratch, exact, runs)]

        return self._measured(moved)[0] / self._norms

    def _measured(self, measure: Callable[[Chunk, bool, Runs], list[Tensor]], columns: int = 1) -> Tensor:
        """Norms chunk by chunk, in the order of the matrices: `(columns, matrices, runs)`."""

        def rows(exact: bool, runs: Runs) -> Tensor:
            parts = [measure(chunk, exact, runs) for chunk in self._chunks]
            return torch.cat([part for column in zip(*parts, strict=True) for part in column])

        table = norms_by_range(self._device, rows)
        table = table.view(columns, -1, table.shape[1])
        return table if self._order is None else table.index_select(1, self._order)


class HistoryOfRun:
    """The weights of one run of a stack, as `WeightHistory` has them."""

    def __init__(self, stack: WeightHistory | HistoryOfRun, row: int) -> None:
        self._stack, self._runs = stack, slice(row, row + 1)
        self.started: Tensor = stack.started[:, self._runs]

    def keep(self) -> tuple[Tensor, Tensor]:
        lengths, drift = self._stack.keep()
        return lengths[:, self._runs], drift[:, self._runs]

    def change(self) -> Tensor:
        return self._stack.change()[:, self._runs]


def _lengths(stack: Tensor, exact: bool, runs: Runs) -> Tensor:
    """The norms of `(matrices, runs, *shape)`, of the chosen runs, `(matrices, runs)`."""
    chosen = stack if isinstance(runs, slice) else stack[:, runs]
    if chosen.shape[1] == 1:
        return row_norms(chosen, exact)[:, None]
    return row_norms(chosen.flatten(0, 1), exact).view(chosen.shape[:2])


class Chunk:
    """Weights of equal shape as stacks, `(matrices, runs, *shape)`: at the start and before a step."""

    def __init__(self, members: list[int], weights: Sequence[Tensor], alone: bool) -> None:
        mine = [weights[index] for index in members]
        together = neighbours(mine)
        self.members, self._alone, self.start = members, alone, torch.stack(mine)
        if alone:
            self.start = self.start.unsqueeze(1)
            together = None if together is None else together.unsqueeze(1)
        self.before, self._together = torch.empty_like(self.start), together
        self._places = [weight.data_ptr() for weight in mine]

    def now(self, weights: Sequence[Tensor], place: Tensor) -> Tensor:
        """The weights as they are now; a view where they lie side by side, else a copy in `place`."""
        mine = [weights[index] for index in self.members]
        if self._together is not None and [weight.data_ptr() for weight in mine] == self._places:
            return self._together
        torch.stack(mine, out=place[:, 0] if self._alone else place)
        return place
