"""Made-up sequences whose answer depends on what was seen long before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from vanishgrad.choices.data.baseline import Baseline
from vanishgrad.choices.data.checks import check_generated
from vanishgrad.errors import at_least


@dataclass(frozen=True)
class Adding:
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


@dataclass(frozen=True)
class Copy:
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


@dataclass(frozen=True)
class TemporalOrder:
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
