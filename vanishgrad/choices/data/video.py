"""Frames of moving things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vanishgrad.choices.data.checks import check_root
from vanishgrad.errors import at_least, require

MOST_PIXELS = 4_000_000_000  # of all frames together, four bytes each


@dataclass(frozen=True)
class MovingDigits:
    """Digits that move at constant speed and bounce off the frame's edges (Srivastava et al. 2015).

    The network is given some frames and predicts those that follow; pixels are in [0, 1]. A digit sets out
    anywhere, in any direction, and moves a tenth of the way from edge to edge per frame.

    Arguments:
        root: folder of MNIST's IDX files, for its 28x28 digits; null takes scikit-learn's 8x8 digits.
        size: side of the frames in pixels; null is 64 for MNIST, 16 for the small digits.
        digits: how many move at once; where they overlap the brighter pixel shows.
        given: frames that the network sees.
        predicted: frames that it predicts.
        train_size: training sequences.
        held_out: sequences held out, of digits that no training sequence has.
        seed: of the sequences, independent of the run's seed.
    """

    root: str | None = None
    size: int | None = None
    digits: int = 2
    given: int = 10
    predicted: int = 10
    train_size: int = 1_000
    held_out: int = 100
    seed: int = 0
    name: ClassVar[str] = "moving_digits"
    default_loss: ClassVar[str] = "bce"
    symbols: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        check_root(self.root)
        at_least("data.size", self.side, 8 if self.root is None else 28)
        for key in ("digits", "given", "predicted", "train_size", "held_out"):
            at_least(f"data.{key}", getattr(self, key), 1)
        sequences, frames = self.train_size + self.held_out, self.given + self.predicted
        pixels = sequences * frames * self.side**2
        require(
            pixels <= MOST_PIXELS,
            f"data.train_size={self.train_size} data.held_out={self.held_out}: {sequences:,} sequences of "
            f"{frames} frames of side {self.side} are {pixels:,} pixels, must be at most {MOST_PIXELS:,}",
        )

    @property
    def side(self) -> int:
        """Side of the frames in pixels, with null resolved."""
        return (16 if self.root is None else 64) if self.size is None else self.size

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.given, 1, self.side, self.side)

    @property
    def outputs(self) -> int:
        """Pixels of all predicted frames."""
        return self.predicted * self.side**2
