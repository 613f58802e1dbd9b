"""Activation functions: each choice builds the module that trains."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor, nn

from vanishgrad.choices.protocol import Activation
from vanishgrad.errors import require
from vanishgrad.theory.gaussian import Function


class ErfModule(nn.Module):
    """The error function, elementwise."""

    elementwise = True

    def forward(self, x: Tensor) -> Tensor:
        return torch.erf(x)


@dataclass(frozen=True)
class ReLU(Activation):
    """max(x, 0) (Nair and Hinton 2010)."""

    name: ClassVar[str] = "relu"
    homogeneous: ClassVar[bool] = True
    half_linear: ClassVar[bool] = True

    def module(self) -> nn.Module:
        return nn.ReLU()

    def function(self) -> Function:
        return self.module()  # the theory knows closed forms of it


@dataclass(frozen=True)
class Sigmoid(Activation):
    """1 / (1 + exp(-x)); its slope never passes 0.25."""

    name: ClassVar[str] = "sigmoid"
    probability: ClassVar[bool] = True
    bounded: ClassVar[bool] = True

    def module(self) -> nn.Module:
        return nn.Sigmoid()


@dataclass(frozen=True)
class Tanh(Activation):
    """tanh(x); slope 1 at zero (LeCun et al. 1998)."""

    name: ClassVar[str] = "tanh"
    bounded: ClassVar[bool] = True

    def module(self) -> nn.Module:
        return nn.Tanh()


@dataclass(frozen=True)
class Softsign(Activation):
    """x / (1 + |x|) (Bergstra et al. 2009)."""

    name: ClassVar[str] = "softsign"
    bounded: ClassVar[bool] = True

    def module(self) -> nn.Module:
        return nn.Softsign()


@dataclass(frozen=True)
class Softplus(Activation):
    """log(1 + exp(x)) (Dugas et al. 2001)."""

    name: ClassVar[str] = "softplus"

    def module(self) -> nn.Module:
        return nn.Softplus()


@dataclass(frozen=True)
class LeakyReLU(Activation):
    """x for x > 0, slope * x below (Maas et al. 2013).

    Arguments:
        slope: the fixed slope for negative inputs.
    """

    slope: float = 0.01
    name: ClassVar[str] = "leaky_relu"
    homogeneous: ClassVar[bool] = True
    half_linear: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(math.isfinite(self.slope), f"act.slope={self.slope}: must be a finite number")

    def module(self) -> nn.Module:
        return nn.LeakyReLU(self.slope)

    @property
    def negative_slope(self) -> float:
        return self.slope

    def function(self) -> Function:
        return self.module()  # the theory knows closed forms of it


@dataclass(frozen=True)
class PReLU(Activation):
    """Leaky ReLU whose negative slope is learned, one per layer (He et al. 2015).

    Arguments:
        slope: the slope for negative inputs at the start.
    """

    slope: float = 0.25
    name: ClassVar[str] = "prelu"
    homogeneous: ClassVar[bool] = True
    half_linear: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(math.isfinite(self.slope), f"act.slope={self.slope}: must be a finite number")

    def module(self) -> nn.Module:
        return nn.PReLU(init=self.slope)

    @property
    def negative_slope(self) -> float:
        return self.slope

    def function(self) -> Function:
        return self.module()  # the theory knows closed forms of it


@dataclass(frozen=True)
class ELU(Activation):
    """x for x > 0, alpha (exp(x) - 1) below (Clevert et al. 2016).

    Arguments:
        alpha: minus the limit at minus infinity.
    """

    alpha: float = 1.0
    name: ClassVar[str] = "elu"
    half_linear: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(
            math.isfinite(self.alpha) and self.alpha >= 0,
            f"act.alpha={self.alpha}: must be finite, at least 0",
        )

    def module(self) -> nn.Module:
        return nn.ELU(self.alpha)


@dataclass(frozen=True)
class SELU(Activation):
    """1.0507 ELU(alpha=1.6733) (Klambauer et al. 2017)."""

    name: ClassVar[str] = "selu"

    def module(self) -> nn.Module:
        return nn.SELU()


@dataclass(frozen=True)
class GELU(Activation):
    """x Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016)."""

    name: ClassVar[str] = "gelu"
    half_linear: ClassVar[bool] = True

    def module(self) -> nn.Module:
        return nn.GELU()


@dataclass(frozen=True)
class SiLU(Activation):
    """x sigmoid(x), also called swish (Elfwing et al. 2018)."""

    name: ClassVar[str] = "silu"
    half_linear: ClassVar[bool] = True

    def module(self) -> nn.Module:
        return nn.SiLU()


@dataclass(frozen=True)
class Mish(Activation):
    """x tanh(softplus(x)) (Misra 2020)."""

    name: ClassVar[str] = "mish"
    half_linear: ClassVar[bool] = True

    def module(self) -> nn.Module:
        return nn.Mish()


@dataclass(frozen=True)
class Erf(Activation):
    """erf(x); the activation whose mean-field theory has closed forms (Williams 1997)."""

    name: ClassVar[str] = "erf"
    bounded: ClassVar[bool] = True

    def module(self) -> nn.Module:
        return ErfModule()

    def function(self) -> Function:
        return torch.erf  # the theory knows closed forms of it


@dataclass(frozen=True)
class Identity(Activation):
    """x itself: a deep linear network (Saxe et al. 2014)."""

    name: ClassVar[str] = "identity"
    homogeneous: ClassVar[bool] = True

    def module(self) -> nn.Module:
        return nn.Identity()

    def function(self) -> Function:
        return self.module()  # the theory knows closed forms of it


REACH = 4  # on either side of 0: beyond it every choice is as good as straight
FINE = 50  # points per unit


def curve(act: Activation) -> dict[str, list[float]]:
    """`x`, `value` f(x) and `slope` f'(x) by autograd; at a kink the slope that training uses.

    A learned slope (prelu) is the one that training starts with.
    """
    whole = torch.arange(-REACH * FINE, REACH * FINE + 1, dtype=torch.float64)
    x = (whole / FINE).requires_grad_()
    value = act.module().to(torch.float64)(x)
    (slope,) = torch.autograd.grad(value.sum(), x)
    return {name: each.detach().tolist() for name, each in (("x", x), ("value", value), ("slope", slope))}


@lru_cache(maxsize=64)
def function_of(act: Activation) -> Function:
    """`act.function()`, the same object every time: theory keeps what it has integrated by the object."""
    return act.function()
