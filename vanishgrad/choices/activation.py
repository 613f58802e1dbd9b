"""Activation functions: each choice builds the module that trains."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from vanishgrad.errors import require


class Activation(Protocol):
    """An elementwise nonlinearity."""

    name: ClassVar[str]

    def module(self) -> nn.Module:
        """A new module that applies the function, `(...) -> (...)`."""
        ...

    def __hash__(self) -> int: ...


class ErfModule(nn.Module):
    """The error function, elementwise."""

    elementwise = True

    def forward(self, x: Tensor) -> Tensor:
        return torch.erf(x)


@dataclass(frozen=True)
class ReLU:
    """max(x, 0) (Nair and Hinton 2010)."""

    name: ClassVar[str] = "relu"

    def module(self) -> nn.Module:
        return nn.ReLU()


@dataclass(frozen=True)
class Sigmoid:
    """1 / (1 + exp(-x)); its slope never passes 0.25."""

    name: ClassVar[str] = "sigmoid"

    def module(self) -> nn.Module:
        return nn.Sigmoid()


@dataclass(frozen=True)
class Tanh:
    """tanh(x); slope 1 at zero (LeCun et al. 1998)."""

    name: ClassVar[str] = "tanh"

    def module(self) -> nn.Module:
        return nn.Tanh()


@dataclass(frozen=True)
class Softsign:
    """x / (1 + |x|) (Bergstra et al. 2009)."""

    name: ClassVar[str] = "softsign"

    def module(self) -> nn.Module:
        return nn.Softsign()


@dataclass(frozen=True)
class Softplus:
    """log(1 + exp(x)) (Dugas et al. 2001)."""

    name: ClassVar[str] = "softplus"

    def module(self) -> nn.Module:
        return nn.Softplus()


@dataclass(frozen=True)
class LeakyReLU:
    """x for x > 0, slope * x below (Maas et al. 2013).

    Arguments:
        slope: the fixed slope for negative inputs.
    """

    slope: float = 0.01
    name: ClassVar[str] = "leaky_relu"

    def __post_init__(self) -> None:
        require(math.isfinite(self.slope), f"act.slope={self.slope}: must be a finite number")

    def module(self) -> nn.Module:
        return nn.LeakyReLU(self.slope)


@dataclass(frozen=True)
class PReLU:
    """Leaky ReLU whose negative slope is learned, one per layer (He et al. 2015).

    Arguments:
        slope: the slope for negative inputs at the start.
    """

    slope: float = 0.25
    name: ClassVar[str] = "prelu"

    def __post_init__(self) -> None:
        require(math.isfinite(self.slope), f"act.slope={self.slope}: must be a finite number")

    def module(self) -> nn.Module:
        return nn.PReLU(init=self.slope)


@dataclass(frozen=True)
class ELU:
    """x for x > 0, alpha (exp(x) - 1) below (Clevert et al. 2016).

    Arguments:
        alpha: minus the limit at minus infinity.
    """

    alpha: float = 1.0
    name: ClassVar[str] = "elu"

    def __post_init__(self) -> None:
        require(
            math.isfinite(self.alpha) and self.alpha >= 0,
            f"act.alpha={self.alpha}: must be finite, at least 0",
        )

    def module(self) -> nn.Module:
        return nn.ELU(self.alpha)


@dataclass(frozen=True)
class SELU:
    """1.0507 ELU(alpha=1.6733) (Klambauer et al. 2017)."""

    name: ClassVar[str] = "selu"

    def module(self) -> nn.Module:
        return nn.SELU()


@dataclass(frozen=True)
class GELU:
    """x Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016)."""

    name: ClassVar[str] = "gelu"

    def module(self) -> nn.Module:
        return nn.GELU()


@dataclass(frozen=True)
class SiLU:
    """x sigmoid(x), also called swish (Elfwing et al. 2018)."""

    name: ClassVar[str] = "silu"

    def module(self) -> nn.Module:
        return nn.SiLU()


@dataclass(frozen=True)
class Mish:
    """x tanh(softplus(x)) (Misra 2020)."""

    name: ClassVar[str] = "mish"

    def module(self) -> nn.Module:
        return nn.Mish()


@dataclass(frozen=True)
class Erf:
    """erf(x); the activation whose mean-field theory has closed forms (Williams 1997)."""

    name: ClassVar[str] = "erf"

    def module(self) -> nn.Module:
        return ErfModule()


@dataclass(frozen=True)
class Identity:
    """x itself: a deep linear network (Saxe et al. 2014)."""

    name: ClassVar[str] = "identity"

    def module(self) -> nn.Module:
        return nn.Identity()


def negative_slope(activation: Activation) -> float:
    """The slope a for negative inputs of leaky_relu and prelu, else 0 (He et al. 2015, section 2.2)."""
    return activation.slope if isinstance(activation, (LeakyReLU, PReLU)) else 0.0


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
