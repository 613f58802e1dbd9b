"""The order of the training data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from vanishgrad.choices.data import Text
from vanishgrad.data import Dataset
from vanishgrad.run import Run
from vanishgrad.streams import stream


@dataclass(frozen=True)
class Batch:
    """The examples of one step; `first` where a running text begins anew."""

    inputs: Tensor
    targets: Tensor
    first: bool = True


def steps_of(run: Run, examples: int) -> tuple[int, int]:
    """(steps of the run, steps per epoch). A partial batch at an epoch's end is dropped.

    Of a text the examples are its characters, of which each place in the batch reads `length` a step.
    """
    per_epoch = examples // batch_size_of(run, examples)
    if isinstance(run.data, Text):
        per_epoch //= run.data.length
    planned = run.epochs * per_epoch
    return planned if run.max_steps is None else min(planned, run.max_steps), per_epoch


def batch_size_of(run: Run, examples: int) -> int:
    """Examples per step."""
    return examples if run.batch_size == "full" else int(run.batch_size)


class Order:
    """Endless batches of example numbers: a new random order every epoch, from the run's own stream."""

    def __init__(self, run: Run, examples: int) -> None:
        self.examples, self.size = examples, batch_size_of(run, examples)
        self._generator = stream(run.seed, "order")
        self.epoch = self._generator.get_state()  # as it was before the order of this epoch was drawn
        self._done = 0

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            self.epoch, done, self._done = self._generator.get_state(), self._done, 0
            yield from islice(shuffled(self.examples, self.size, self._generator), done, None)

    def restore(self, epoch: Tensor, done: int) -> None:
        """Begin in an epoch that another process was in, after its first `done` batches."""
        self._generator.set_state(epoch)
        self._done = done


def shuffled(examples: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """The numbers of all examples once, in a random order, `size` at a time; the rest is dropped."""
    order = torch.randperm(examples, generator=generator)
    yield from order[: examples - examples % size].split(size)


def batches(run: Run, train: Dataset, order: Order, done: int = 0) -> Iterator[Batch]:
    """Endless batches of the training data; of a text from behind the first `done` pieces on."""
    if isinstance(run.data, Text):
        size = batch_size_of(run, len(train.train_x))
        yield from islice(pieces(train.train_x, train.train_y, size, run.data.length), done, None)
        while True:
            yield from pieces(train.train_x, train.train_y, size, run.data.length)
    while run.batch_size == "full":
        yield Batch(train.train_x, train.train_y)
    for rows in order:
        there = rows.to(train.train_x.device)
        yield Batch(train.train_x.index_select(0, there), train.train_y.index_select(0, there))


def pieces(inputs: Tensor, targets: Tensor, size: int, length: int) -> Iterator[Batch]:
    """A text read once, at `size` places at a time, `length` characters a step; the rest is dropped.

    Arguments:
        inputs, targets: symbol numbers, `(characters,)`.
    """
    steps = len(inputs) // size // length
    x, y = (text[: size * steps * length].view(size, steps, length) for text in (inputs, targets))
    for step in range(steps):
        yield Batch(x[:, step], y[:, step], first=step == 0)
