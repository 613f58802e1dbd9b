"""The learning rate over the steps of a run, as a factor of `lr`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

from vanishgrad.errors import positive, require


class Schedule(Protocol):
    """A factor between 0 and 1 for every step. A choice of your own inherits this and writes `factor`.

    Attributes:
        steady: whether the factor is always 1.
    """

    name: ClassVar[str]
    steady: ClassVar[bool] = False

    def factor(self, progress: float) -> float:
        """The factor when the fraction `progress` (0 to 1) of the steps after the warm-up is done."""
        ...


@dataclass(frozen=True)
class ConstantLR(Schedule):
    """The same rate throughout."""

    name: ClassVar[str] = "constant"
    steady: ClassVar[bool] = True

    def factor(self, progress: float) -> float:
        return 1.0


@dataclass(frozen=True)
class CosineLR(Schedule):
    """Half a cosine from 1 to 0, without restarts (Loshchilov and Hutter 2017)."""

    name: ClassVar[str] = "cosine"

    def factor(self, progress: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class StepLR(Schedule):
    """Multiplied by `gamma` at each milestone (He et al. 2016: 0.1 at a half and three quarters).

    Arguments:
        gamma: the factor.
        milestones: fractions of the run, increasing, between 0 and 1.
    """

    gamma: float = 0.1
    milestones: tuple[float, ...] = (0.5, 0.75)
    name: ClassVar[str] = "step"

    def __post_init__(self) -> None:
        positive("schedule.gamma", self.gamma)
        require(
            all(0 < m < 1 for m in self.milestones) and list(self.milestones) == sorted(set(self.milestones)),
            f"schedule.milestones={list(self.milestones)}: must be increasing fractions between 0 and 1",
        )

    def factor(self, progress: float) -> float:
        return float(self.gamma ** sum(progress >= milestone for milestone in self.milestones))
