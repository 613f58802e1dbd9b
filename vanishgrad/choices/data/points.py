"""Points in the plane."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch

from vanishgrad.choices.data.dataset import (
    Dataset,
    Examples,
    Scale,
    check_scale,
    check_size,
    hold_out,
    scaled,
)
from vanishgrad.choices.protocol import Data
from vanishgrad.errors import at_least, require
from vanishgrad.streams import stream

MOST_POINTS = 10_000_000


@dataclass(frozen=True)
class Spirals(Data):
    """Interleaved spiral arms in the plane, one per class (after Lang and Witbrock 1988).

    Along its one turn an arm's radius grows from 0 to 1; neighbouring arms are 1 / classes apart.

    Arguments:
        classes: arms.
        points: examples in all, training and held out, shared evenly by the arms.
        noise: standard deviation of the Gaussian noise on each coordinate.
        train_size: training examples; null takes 80 % of all. The rest is held out.
        scale: standard (zero mean, unit variance per coordinate over the training points) or unit (training
            points fill [0, 1]; a held-out point may lie just outside).
        seed: of the points and of their random split, independent of the run's seed.
    """

    classes: int = 3
    points: int = 1500
    noise: float = 0.05
    train_size: int | None = None
    scale: Scale = "standard"
    seed: int = 0
    name: ClassVar[str] = "spirals"
    default_loss: ClassVar[str] = "cross_entropy"
    shape: ClassVar[tuple[int, ...]] = (2,)
    symbols: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        at_least("data.classes", self.classes, 2)
        require(
            self.points >= self.classes,
            f"data.points={self.points}: must be at least data.classes={self.classes}",
        )
        require(
            self.points <= MOST_POINTS,
            f"data.points={self.points}: must be at most {MOST_POINTS}",
        )
        require(
            math.isfinite(self.noise) and self.noise >= 0,
            f"data.noise={self.noise}: must be finite, at least 0",
        )
        check_scale(self.scale)
        check_size(self.train_size, self.points - 1)

    @property
    def outputs(self) -> int:
        return self.classes

    @property
    def probabilities(self) -> bool:
        return self.scale == "unit"

    def load(self) -> Dataset:
        points = draw_spirals(self.classes, self.points, self.noise, self.seed)
        return scaled(*hold_out(points, self.train_size, self.seed), self.scale)


def draw_spirals(classes: int, points: int, noise: float, seed: int) -> Examples:
    """`points` points in the plane, `(points, 2)`, labelled with the arm they lie on.

    A point at t, uniform in [0, 1), of arm k has radius t and angle 2 pi (t + k / classes); every
    coordinate then receives Gaussian noise of standard deviation `noise`.
    """
    generator = stream(seed, "spirals")
    arm = torch.arange(points) % classes
    t = torch.rand(points, generator=generator, dtype=torch.float32)
    angle = 2 * math.pi * (t + arm / classes)
    centres = t[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    shifts = noise * torch.randn(points, 2, generator=generator, dtype=torch.float32)
    return Examples(centres + shifts, arm, bounds=None)
