"""Activations whose Gaussian expectations have closed forms: the relu family and erf.

For x, y ~ N(0, q) of correlation c. Cho and Saul 2009 (arc-cosine kernels), Williams 1997 (erf).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from vanishgrad.theory.quadrature import Function


class ClosedForm(Protocol):
    """The expectations that mean-field theory needs."""

    def mean(self, q: float) -> float:
        """E[f(x)]."""
        ...

    def square(self, q: float) -> float:
        """E[f(x)^2]."""
        ...

    def slope_power(self, q: float, power: int) -> float:
        """E[f'(x)^power], the power even."""
        ...

    def product(self, q: float, c: float) -> float:
        """E[f(x) f(y)]."""
        ...

    def slope_product(self, q: float, c: float) -> float:
        """E[f'(x) f'(y)]."""
        ...


@dataclass(frozen=True)
class Rectified:
    """x for x > 0, a x below: (1 + a) / 2 x + (1 - a) / 2 |x|. a = 1 is the identity."""

    a: float

    def mean(self, q: float) -> float:
        return (1 - self.a) * math.sqrt(q / (2 * math.pi))

    def square(self, q: float) -> float:
        return (1 + self.a**2) / 2 * q

    def slope_power(self, q: float, power: int) -> float:
        return (1 + self.a**power) / 2

    def product(self, q: float, c: float) -> float:
        """Cho and Saul 2009, eq. 6 with n = 1: E|x y| = 2 q / pi (sqrt(1 - c^2) + c arcsin c)."""
        even = 2 / math.pi * (math.sqrt(1 - c * c) + c * math.asin(c))
        return q * (((1 + self.a) / 2) ** 2 * c + ((1 - self.a) / 2) ** 2 * even)

    def slope_product(self, q: float, c: float) -> float:
        """The same with n = 0: E[sign x sign y] = 2 / pi arcsin c."""
        return ((1 + self.a) / 2) ** 2 + ((1 - self.a) / 2) ** 2 * 2 / math.pi * math.asin(c)


@dataclass(frozen=True)
class ErrorFunction:
    """erf(x)."""

    def mean(self, q: float) -> float:
        return 0.0

    def square(self, q: float) -> float:
        return self.product(q, 1.0)

    def slope_power(self, q: float, power: int) -> float:
        return (4 / math.pi) ** (power / 2) / math.sqrt(1 + 2 * power * q)

    def product(self, q: float, c: float) -> float:
        """Williams 1997, eq. 11."""
        return 2 / math.pi * math.asin(c / (1 + 1 / (2 * q))) if q > 0 else 0.0

    def slope_product(self, q: float, c: float) -> float:
        return 4 / math.pi / math.sqrt((1 + 2 * q) ** 2 - (2 * q * c) ** 2)


def closed_form(f: Function) -> ClosedForm | None:
    """The closed forms of `f`, if it is known to have any."""
    match f:
        case nn.ReLU():
            return Rectified(0.0)
        case nn.LeakyReLU(negative_slope=a):
            return Rectified(float(a))
        case nn.PReLU(num_parameters=1):
            return Rectified(float(f.weight.detach()))
        case nn.Identity():
            return Rectified(1.0)
        case _:
            return ErrorFunction() if f is torch.erf else None
