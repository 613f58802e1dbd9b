"""Another descent: clipping, penalties, optimizers, rates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from vanishgrad.choices.clipping import ClipByNorm
from vanishgrad.choices.optimizer import Adagrad, Adam, RMSprop
from vanishgrad.choices.regularization import L1, L2
from vanishgrad.errors import positive
from vanishgrad.remedies.remedy import Remedy
from vanishgrad.run import Run


@dataclass(frozen=True)
class UseClipping(Remedy):
    """clip=norm (Pascanu et al. 2013).

    Arguments:
        max_norm: the largest global gradient norm.
    """

    max_norm: float = 1.0
    name: ClassVar[str] = "clipping"

    def __call__(self, run: Run) -> Run:
        return replace(run, clip=ClipByNorm(self.max_norm))


@dataclass(frozen=True)
class UseL1(Remedy):
    """reg=l1 (Tibshirani 1996).

    Arguments:
        strength: factor of the sum over all weights.
    """

    strength: float = 1e-4
    name: ClassVar[str] = "l1"

    def __call__(self, run: Run) -> Run:
        return replace(run, reg=L1(self.strength))


@dataclass(frozen=True)
class UseL2(Remedy):
    """reg=l2 (Hoerl and Kennard 1970).

    Arguments:
        strength: factor of the sum over all weights.
    """

    strength: float = 1e-4
    name: ClassVar[str] = "l2"

    def __call__(self, run: Run) -> Run:
        return replace(run, reg=L2(self.strength))


@dataclass(frozen=True)
class UseAdam(Remedy):
    """optim=adam (Kingma and Ba 2015).

    Arguments:
        lr: learning rate; null is Adam's default, since the rate of another optimizer means nothing to it.
    """

    lr: float | None = None
    name: ClassVar[str] = "adam"

    def __call__(self, run: Run) -> Run:
        return replace(run, optim=Adam(), lr=self.lr)


@dataclass(frozen=True)
class UseAdagrad(Remedy):
    """optim=adagrad (Duchi et al. 2011).

    Arguments:
        lr: learning rate; null is Adagrad's default, since the rate of another optimizer means nothing to it.
    """

    lr: float | None = None
    name: ClassVar[str] = "adagrad"

    def __call__(self, run: Run) -> Run:
        return replace(run, optim=Adagrad(), lr=self.lr)


@dataclass(frozen=True)
class UseRMSprop(Remedy):
    """optim=rmsprop (Tieleman and Hinton 2012).

    Arguments:
        lr: learning rate; null is RMSprop's default, since the rate of another optimizer means nothing to it.
    """

    lr: float | None = None
    name: ClassVar[str] = "rmsprop"

    def __call__(self, run: Run) -> Run:
        return replace(run, optim=RMSprop(), lr=self.lr)


@dataclass(frozen=True)
class SmallRate(Remedy):
    """The learning rate times a factor below 1.

    Arguments:
        factor: what the rate is multiplied by.
    """

    factor: float = 0.1
    name: ClassVar[str] = "small_rate"

    def __post_init__(self) -> None:
        positive("remedy.factor", self.factor)

    def __call__(self, run: Run) -> Run:
        return replace(run, lr=run.rate * self.factor)
