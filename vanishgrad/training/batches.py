"""The order of the training data."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vanishgrad.run import Run
from vanishgrad.streams import stream


def steps_of(run: Run, examples: int) -> tuple[int, int]:
    """(steps of the run, steps per epoch). A partial batch at an epoch's end is dropped."""
    per_epoch = examples // batch_size_of(run, examples)
    planned = run.epochs * per_epoch
    return planned if run.max_steps is None else min(planned, run.max_steps), per_epoch


def batch_size_of(run: Run, examples: int) -> int:
    """Examples per step."""
    return examples if run.batch_size == "full" else int(run.batch_size)


class Order:
    """Endless batches of example numbers: a new random order every epoch, from the run's own stream."""

    def __init__(self, run: Run, examples: int) -> None:
        self.examples, self.size = examples, batch_size_of(run, examples)
        self.generator = stream(run.seed, "order")

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            order = torch.randperm(self.examples, generator=self.generator)
            yield from order[: self.examples - self.examples % self.size].split(self.size)
