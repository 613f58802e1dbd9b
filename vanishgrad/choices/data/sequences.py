"""Made-up sequences whose answer depends on what was seen long before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vanishgrad.choices.data.dataset import Dataset, check_generated, refuse_classes
from vanishgrad.choices.protocol import Data
from vanishgrad.errors import at_least
from vanishgrad.records import Baseline
from vanishgrad.streams import stream


@dataclass(frozen=True)
class Adding(Data):
    """The adding problem: the sum of the two marked numbers (Hochreiter and Schmidhuber 1997).

    As in Le et al. (2015) and Arjovsky et al. (2016): at each time a number uniform in [0, 1) and a mark, 1
    at one time of each half and 0 elsewhere; the target is the sum, read at the end.

    Arguments:
        length: time steps; the first half is the shorter one of an odd number.
        train_size: training sequences.
        held_out: sequences held out.
        seed: of the sequences, independent of the run's seed; a smaller train_size takes a part of the same.
    """

    length: int = 100
    train_size: int = 50_000
    held_out: int = 2_000
    seed: int = 0
    name: ClassVar[str] = "adding"
    default_loss: ClassVar[str] = "mse"
    outputs: ClassVar[int] = 1
    symbols: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        at_least("data.length", self.length, 2)
        check_generated(self.train_size, self.held_out, 2 * self.length)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length, 2)

    @property
    def baseline(self) -> Baseline:
        return Baseline("val_loss", 1 / 6, "always answering 1: the variance of the sum (Le et al. 2015)")

    def load(self) -> Dataset:
        return draw_adding(self)

    def refuse_loss(self, loss: str) -> None:
        refuse_classes(self.name, loss, ("cross_entropy", "bce"), "loss=mse")


@dataclass(frozen=True)
class CopyMemory(Data):
    """Copy memory: repeat symbols after a long blank (Hochreiter and Schmidhuber 1997).

    As in Arjovsky et al. (2016): `memory` symbols drawn from `alphabet` different ones, length - 1 blanks, a
    delimiter and `memory` blanks more; the target is blank until the last `memory` times, which repeat the
    symbols. Each is answered length + memory steps after it was seen.

    Arguments:
        length: time steps between the symbols and the answer, the last of them the delimiter.
        memory: symbols to remember.
        alphabet: different symbols.
        train_size: training sequences.
        held_out: sequences held out.
        seed: of the sequences, independent of the run's seed; a smaller train_size takes a part of the same.
    """

    length: int = 100
    memory: int = 10
    alphabet: int = 8
    train_size: int = 20_000
    held_out: int = 1_000
    seed: int = 0
    name: ClassVar[str] = "copy"
    of_symbols: ClassVar[bool] = True
    every_step: ClassVar[bool] = True
    default_loss: ClassVar[str] = "cross_entropy"

    def __post_init__(self) -> None:
        at_least("data.length", self.length, 1)
        at_least("data.memory", self.memory, 1)
        at_least("data.alphabet", self.alphabet, 2)
        check_generated(self.train_size, self.held_out, self.times)

    @property
    def times(self) -> int:
        """Time steps in all."""
        return self.length + 2 * self.memory

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.times,)

    @property
    def symbols(self) -> int:
        """The alphabet, the blank and the delimiter, numbered in this order."""
        return self.alphabet + 2

    @property
    def outputs(self) -> int:
        """The alphabet and the blank."""
        return self.alphabet + 1

    @property
    def baseline(self) -> Baseline:
        lost = self.memory * math.log(self.alphabet) / self.times
        return Baseline("val_loss", lost, "blanks, then symbols at random (Arjovsky et al. 2016)")

    def load(self) -> Dataset:
        return draw_copy(self)


@dataclass(frozen=True)
class TemporalOrder(Data):
    """Temporal order: which of XX, XY, YX, YY was hidden among distractors (Hochreiter and Schmidhuber 1997).

    Their task 6a, scaled to any length: a start symbol E, distractors a, b, c, d, an end symbol B; X or Y at
    a time in the second tenth of the sequence and again in the sixth. The class is read at the end.

    Arguments:
        length: time steps, at least 20.
        train_size: training sequences.
        held_out: sequences held out.
        seed: of the sequences, independent of the run's seed; a smaller train_size takes a part of the same.
    """

    length: int = 100
    train_size: int = 20_000
    held_out: int = 1_000
    seed: int = 0
    name: ClassVar[str] = "temporal_order"
    of_symbols: ClassVar[bool] = True
    default_loss: ClassVar[str] = "cross_entropy"
    outputs: ClassVar[int] = 4
    symbols: ClassVar[int | None] = 8

    def __post_init__(self) -> None:
        at_least("data.length", self.length, 20)
        check_generated(self.train_size, self.held_out, self.length)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def baseline(self) -> Baseline:
        return Baseline("val_accuracy", 1 / 4, "guessing one of four classes")

    def load(self) -> Dataset:
        return draw_temporal_order(self)


def draw_adding(data: Adding) -> Dataset:
    """Inputs `(n, length, 2)`, at each time a number and its mark; targets `(n, 1)`, the marked sum."""
    return Dataset(
        *_adding_part(data, data.train_size, "train"), *_adding_part(data, data.held_out, "held out")
    )


def _adding_part(data: Adding, count: int, part: str) -> tuple[Tensor, Tensor]:
    # A stream for each of the three: the first sequences are then the same however many are drawn.
    numbers, first, second = (
        stream(data.seed, "adding", part, what) for what in ("numbers", "first", "second")
    )
    half, rows = data.length // 2, torch.arange(count)
    x = torch.zeros(count, data.length, 2, dtype=torch.float32)
    x[..., 0] = torch.rand(count, data.length, generator=numbers, dtype=torch.float32)
    early = torch.randint(half, (count,), generator=first)
    late = torch.randint(half, data.length, (count,), generator=second)
    x[rows, early, 1] = x[rows, late, 1] = 1
    return x, (x[rows, early, 0] + x[rows, late, 0])[:, None]


def draw_copy(data: CopyMemory) -> Dataset:
    """Symbols in and out, both `(n, length + 2 memory)`: the alphabet, then the blank, then the delimiter."""
    return Dataset(*_copy_part(data, data.train_size, "train"), *_copy_part(data, data.held_out, "held out"))


def _copy_part(data: CopyMemory, count: int, part: str) -> tuple[Tensor, Tensor]:
    generator = stream(data.seed, "copy", part)
    remembered = torch.randint(data.alphabet, (count, data.memory), generator=generator)
    blank, delimiter = data.alphabet, data.alphabet + 1
    x, y = (torch.full((count, data.times), blank) for _ in range(2))
    x[:, : data.memory] = y[:, -data.memory :] = remembered
    x[:, -data.memory - 1] = delimiter
    return x, y


DISTRACTORS = 4  # symbols 0 to 3, the a, b, c, d of the paper
X, Y, START, END = range(DISTRACTORS, 8)


def draw_temporal_order(data: TemporalOrder) -> Dataset:
    """Symbols `(n, length)`; classes `(n,)`: 0 to 3 for XX, XY, YX, YY."""
    return Dataset(
        *_order_part(data, data.train_size, "train"), *_order_part(data, data.held_out, "held out")
    )


def _order_part(data: TemporalOrder, count: int, part: str) -> tuple[Tensor, Tensor]:
    def integers(what: str, low: int, high: int, *shape: int) -> Tensor:
        # A stream for each: the first sequences are then the same however many are drawn.
        return torch.randint(low, high, shape, generator=stream(data.seed, "temporal order", part, what))

    x, rows = integers("distractors", 0, DISTRACTORS, count, data.length), torch.arange(count)
    y = integers("classes", 0, 4, count)
    x[:, 0], x[:, -1] = START, END
    x[rows, integers("early", data.length // 10, data.length // 5, count)] = torch.where(y < 2, X, Y)
    x[rows, integers("late", data.length // 2, data.length * 3 // 5, count)] = torch.where(y % 2 == 0, X, Y)
    return x, y
