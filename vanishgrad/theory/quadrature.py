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
def gaussian_nodes() -> tuple[Tensor, Tensor]:
    """Nodes z and weights w, each `(2 * PANELS * NODES,)`, with E[g(z)] = sum_i w_i g(z_i) for z ~ N(0, 1).

    Composite Gauss-Legendre on panels that halve towards 0, and never straddle it: the split keeps a kink at
    0 exact, the grading resolves functions of sqrt(q) z whose features shrink around 0 as q grows.
    """
    unit, weight = (torch.from_numpy(values) for values in leggauss(NODES))
    right = CUTOFF * 0.5 ** torch.arange(PANELS, dtype=torch.float64)
    left = torch.cat([right[1:], right.new_zeros(1)])
    half_width = (right - left) / 2
    z = ((right + left) / 2)[:, None] + half_width[:, None] * unit  # (panel, node)
    w = half_width[:, None] * weight * torch.exp(-(z**2) / 2)
    return torch.cat([-z.flatten(), z.flatten()]), torch.cat([w.flatten(), w.flatten()]) / (2 * w.sum())


def in_float64(f: Function) -> Function:
    """`f` for float64 tensors on the CPU: a module's parameters are converted and detached, never changed."""
    if not isinstance(f, nn.Module):
        return f
    with torch.inference_mode(False):
        state = {name: value.clone().to("cpu", torch.float64) for name, value in f.state_dict().items()}

    def call(x: Tensor) -> Tensor:
        result: Tensor = functional_call(f, state, x.clone())  # a clone, for modules that work in place
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
