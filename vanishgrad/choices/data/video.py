"""Frames of moving things."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vanishgrad.choices.data.dataset import Dataset, Examples, check_root, hold_out, refuse_classes
from vanishgrad.choices.data.image_files import read_mnist
from vanishgrad.choices.data.images import read_digits
from vanishgrad.choices.protocol import Data
from vanishgrad.errors import at_least, require
from vanishgrad.streams import stream

MOST_PIXELS = 4_000_000_000  # of all frames together, four bytes each


@dataclass(frozen=True)
class MovingDigits(Data):
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
    frames: ClassVar[bool] = True
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

    def load(self) -> Dataset:
        return draw_moving_digits(self)

    def refuse_loss(self, loss: str) -> None:
        refuse_classes(self.name, loss, ("cross_entropy",), "loss=mse or bce")


SPEED = 0.1  # of the way from edge to edge, per frame
LEAST = 1e-4  # probability that an image answers for a pixel's being on, and off


def draw_moving_digits(data: MovingDigits) -> Dataset:
    """Given frames `(n, given, 1, side, side)` and those that follow, `(n, predicted, 1, side, side)`.

    Float32 in [0, 1]. A sequence is the same whatever the number of sequences, and held-out sequences show
    digits that no training sequence does.
    """
    train, held_out = _sources(data)
    train_x, train_y = _sequences(data, train, data.train_size, "train")
    val_x, val_y = _sequences(data, held_out, data.held_out, "held out")
    return Dataset(train_x, train_y, val_x, val_y)


def _sources(data: MovingDigits) -> tuple[Examples, Examples]:
    """The digits that training and held-out sequences are made of."""
    if data.root is None:
        return hold_out(read_digits(), None, data.seed)
    return read_mnist(data.root, "MNIST")


def _sequences(data: MovingDigits, source: Examples, count: int, purpose: str) -> tuple[Tensor, Tensor]:
    """`count` sequences, each split into its given and its predicted frames."""
    generator = stream(data.seed, "moving digits", purpose)
    # Four numbers per digit, sequence after sequence: a larger count continues a smaller one.
    drawn = torch.rand(count, data.digits, 4, generator=generator, dtype=torch.float64)
    which, angle, *start = drawn.unbind(-1)
    images = source.x[(which * len(source)).long(), 0].float() / _brightest(source)
    places = _places(torch.stack(start, -1), angle, data.given + data.predicted, data.side - images.shape[-1])
    frames = _rendered(images, places, data.side)[:, :, None]
    return frames[:, : data.given], frames[:, data.given :]


def _brightest(source: Examples) -> float:
    assert source.bounds is not None
    return source.bounds[1]


def _places(start: Tensor, angle: Tensor, times: int, room: int) -> Tensor:
    """Where the digits' upper left corners are, in pixels, `(count, digits, times, 2)`.

    Arguments:
        start: where they set out, 0 to 1 of the way from edge to edge, `(count, digits, 2)`.
        angle: where they head for, in turns, `(count, digits)`.
        times: frames.
        room: pixels from edge to edge.
    """
    heading = torch.stack([(2 * math.pi * angle).sin(), (2 * math.pi * angle).cos()], dim=-1)
    moved = SPEED * heading[:, :, None] * torch.arange(times)[:, None]
    # Bouncing between edges is moving on straight through their mirror images.
    unfolded = torch.remainder(start[:, :, None] + moved, 2)
    return (room * (1 - (1 - unfolded).abs())).round().long()


def _rendered(images: Tensor, places: Tensor, side: int) -> Tensor:
    """Frames `(count, times, side, side)` with `images`, `(count, digits, height, width)`, at `places`."""
    count, digits, times, _ = places.shape
    frames = torch.zeros(count, times, side * side)
    row, column = (torch.arange(size) for size in images.shape[-2:])
    pixel = (row[:, None] * side + column).flatten()  # of a digit in the upper left corner
    corner = places[..., 0] * side + places[..., 1]
    for time in range(times):
        for digit in range(digits):
            lit = corner[:, digit, time, None] + pixel
            frames[:, time].scatter_reduce_(1, lit, images[:, digit].flatten(1), "amax")
    return frames.unflatten(-1, (side, side))


def mean_frame_loss(train_y: Tensor, val_y: Tensor) -> Tensor:
    """What the mean of all training frames scores as the answer for every held-out frame, `(predicted,)`.

    The binary cross-entropy summed over pixels, mean over sequences. Repeating the last given frame would
    score infinity: its dark pixels are exactly 0, and some of them light up.

    Arguments:
        train_y: training frames, `(n, predicted, 1, side, side)`.
        val_y: held-out frames, `(m, predicted, 1, side, side)`.
    """
    p = train_y.mean((0, 1), dtype=torch.float64).clamp(LEAST, 1 - LEAST)
    on = val_y.mean(0, dtype=torch.float64)  # the loss is linear in the target
    return -(on * p.log() + (1 - on) * torch.log1p(-p)).flatten(1).sum(1)
