"""Expectations under a centred Gaussian, in float64, of plain callables and modules."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor, nn
from torch.func import functional_call

Function = Callable[[Tensor], Tensor]
"""An elementwise function, `(...) -> (...)`: a module such as `nn.GELU()` is one."""

CUTOFF = 10.0  # standard deviations; the tail beyond weighs 2e-23
PANELS = 24  # per side, each half as wide as the next one out
NODES = 20  # per panel


@functools.cache
def graded(stop: float, panels: int, nodes: int) -> tuple[Tensor, Tensor]:
    """Nodes and weights on (0, stop), each `(panels * nodes,)`: Gauss-Legendre on panels halving towards 0.

    The grading resolves what shrinks around 0, such as sqrt(q) z in an activation as q grows: a pole above 0
    is as far from a panel as the panel is wide, whatever its size.
    """
    unit, weight = (torch.from_numpy(values) for values in leggauss(nodes))
    right = stop * 0.5 ** torch.arange(panels, dtype=torch.float64)
    left = torch.cat([right[1:], right.new_zeros(1)])
    half_width = (right - left) / 2
    x = ((right + left) / 2)[:, None] + half_width[:, None] * unit  # (panel, node)
    return x.flatten(), (half_width[:, None] * weight).flatten()


@functools.cache
def gaussian_nodes() -> tuple[Tensor, Tensor]:
    """Nodes z and weights w, each `(2 * PANELS * NODES,)`, with E[g(z)] = sum_i w_i g(z_i) for z ~ N(0, 1).

    No panel straddles 0, so that a kink there is exact.
    """
    z, width = graded(CUTOFF, PANELS, NODES)
    w = width * torch.exp(-(z**2) / 2)
    return torch.cat([-z, z]), torch.cat([w, w]) / (2 * w.sum())


def in_float64(f: Function) -> Function:
    """`f` for float64 tensors on the CPU: a module's parameters are converted and detached, never changed."""
    if not isinstance(f, nn.Module):
        return f
    with torch.inference_mode(False):
        state = {name: value.clone().to("cpu", torch.float64) for name, value in f.state_dict().items()}
    in_place = getattr(f, "inplace", False)

    def call(x: Tensor) -> Tensor:
        x = x.clone() if in_place else x
        result: Tensor = functional_call(f, state, x) if state else f(x)
        return result

    return call


def derivative(f: Function) -> Function:
    """f', by automatic differentiation; works under `no_grad` and `inference_mode` too.

    >>> derivative(torch.tanh)(torch.zeros(2, dtype=torch.float64))
    tensor([1., 1.], dtype=torch.float64)
    """
    f = in_float64(f)

    def slope(x: Tensor) -> Tensor:
        with torch.inference_mode(False), torch.enable_grad():
            leaf = x.detach().clone().requires_grad_()
            (gradient,) = torch.autograd.grad(f(leaf).sum(), leaf)
        return gradient

    return slope


def expectation(f: Function, q: float) -> float:
    """E[f(sqrt(q) z)], z ~ N(0, 1), to about 1e-12 when f is smooth but for a kink or a jump at 0.

    f may grow like a polynomial, not like exp. Kinks elsewhere (hardtanh, relu6) cost accuracy.

    Not `scipy.integrate.quad`, which misses what shrinks around 0: at q = 1e8 E[tanh^2] comes out as 1, not
    as 0.99992; and it asks a torch function for one number at a time, 20 to 80 times as slow.

    >>> round(expectation(torch.cos, 2.0), 12) == round(math.exp(-1), 12)
    True
    """
    z, w = gaussian_nodes()
    with torch.no_grad():
        return float(w @ in_float64(f)(math.sqrt(q) * z))


HALVINGS = 50  # takes neighbouring points of `scales` to within rounding


def scales(start: float, stop: float, ratio: float = 1.5) -> list[float]:
    """Numbers from `start` to `stop`, up or down, each at most `ratio` times its neighbour.

    >>> [round(number, 2) for number in scales(1, 8, ratio=2)]
    [1.0, 2.0, 4.0, 8.0]
    """
    steps = max(1, math.ceil(abs(math.log(stop / start)) / math.log(ratio)))
    return [start * (stop / start) ** (i / steps) for i in range(steps + 1)]


def bisect(function: Callable[[float], float], near: float, far: float) -> float:
    """The zero between two positive numbers at which `function` differs in sign.

    Not `scipy.optimize.brentq`: it is as exact and asks `function` less often, which saves milliseconds, but
    its import adds 0.4 s to the 2 s in which a run with `init=critical` starts.

    >>> round(bisect(lambda x: x**2 - 2, 1.0, 1.5), 6)
    1.414214
    """
    sign = function(near) > 0
    for _ in range(HALVINGS):
        middle = math.sqrt(near * far)
        near, far = (middle, far) if (function(middle) > 0) == sign else (near, middle)
    return math.sqrt(near * far)


def roots(function: Callable[[float], float], grid: Iterable[float]) -> Iterator[float]:
    """The zeros that the sign of `function` betrays between neighbours of `grid`, in its order, lazily.

    >>> [round(root, 3) for root in roots(lambda x: (x - 0.01) * (x - 300), scales(1e-6, 1e6))]
    [0.01, 300.0]
    """
    for (near, at_near), (far, at_far) in pairwise((x, function(x)) for x in grid):
        if (at_near > 0) != (at_far > 0):
            yield bisect(function, near, far)


def peaks(function: Callable[[float], float], grid: Iterable[float]) -> Iterator[float]:
    """The places of the local maxima that lie between neighbours of `grid`, in its order, lazily."""
    points = pairwise(pairwise((x, function(x)) for x in grid))
    for ((left, before), (middle, at)), (_, (right, after)) in points:
        if at > before and at >= after:
            yield summit(function, left, middle, right)


def summit(function: Callable[[float], float], left: float, middle: float, right: float) -> float:
    """The maximum of a function with one peak between two positive numbers, where `middle` is higher.

    Not `scipy.optimize.minimize_scalar`: it is no nearer to the maximum, which values show to 1e-8 only.
    """
    at = function(middle)
    for _ in range(HALVINGS):
        for end in (left, right):
            probe = math.sqrt(middle * end)
            value = function(probe)
            if value > at:
                left, right = (left, middle) if end == left else (middle, right)
                middle, at = probe, value
                break
            left, right = (probe, right) if end == left else (left, probe)
    return middle


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
