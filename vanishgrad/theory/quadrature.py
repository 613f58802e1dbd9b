"""Expectations under a centred Gaussian, in float64, of plain callables and modules."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

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
    """f', by automatic differentiation; works under `no_grad` and `inference_mode` too."""
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
    """
    z, w = gaussian_nodes()
    with torch.no_grad():
        return float(w @ in_float64(f)(math.sqrt(q) * z))
