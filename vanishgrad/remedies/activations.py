"""Another activation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from vanishgrad.choices.activation import ELU, SELU, LeakyReLU, PReLU, ReLU, Tanh
from vanishgrad.remedies.remedy import Remedy
from vanishgrad.run import Run


@dataclass(frozen=True)
class UseReLU(Remedy):
    """act=relu (Nair and Hinton 2010)."""

    name: ClassVar[str] = "relu"

    def __call__(self, run: Run) -> Run:
        return replace(run, act=ReLU())


@dataclass(frozen=True)
class UseLeakyReLU(Remedy):
    """act=leaky_relu (Maas et al. 2013).

    Arguments:
        slope: the fixed slope for negative inputs.
    """

    slope: float = 0.01
    name: ClassVar[str] = "leaky_relu"

    def __call__(self, run: Run) -> Run:
        return replace(run, act=LeakyReLU(self.slope))


@dataclass(frozen=True)
class UsePReLU(Remedy):
    """act=prelu (He et al. 2015).

    Arguments:
        slope: the slope for negative inputs at the start.
    """

    slope: float = 0.25
    name: ClassVar[str] = "prelu"

    def __call__(self, run: Run) -> Run:
        return replace(run, act=PReLU(self.slope))


@dataclass(frozen=True)
class UseELU(Remedy):
    """act=elu (Clevert et al. 2016).

    Arguments:
        alpha: minus the limit at minus infinity.
    """

    alpha: float = 1.0
    name: ClassVar[str] = "elu"

    def __call__(self, run: Run) -> Run:
        return replace(run, act=ELU(self.alpha))


@dataclass(frozen=True)
class UseSELU(Remedy):
    """act=selu (Klambauer et al. 2017); its own initialization is init=lecun."""

    name: ClassVar[str] = "selu"

    def __call__(self, run: Run) -> Run:
        return replace(run, act=SELU())


@dataclass(frozen=True)
class UseTanh(Remedy):
    """act=tanh: slope 1 at zero (LeCun et al. 1998)."""

    name: ClassVar[str] = "tanh"

    def __call__(self, run: Run) -> Run:
        return replace(run, act=Tanh())
