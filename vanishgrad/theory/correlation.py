"""How the correlation of two inputs changes from layer to layer (Poole et al. 2016, section 2.2)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from vanishgrad.theory.gaussian import CUTOFF, Function, closed_form, derivative, graded, in_float64
from vanishgrad.theory.mean_field import LARGEST_LENGTH, TINY, chi_1, chi_q, second_moment

MOST_STEPS = 60  # Newton's, of which convexity leaves about ten
ROUNDING = 1e-13


def product_moment(f: Function, q: float, c: float) -> float:
    """E[f(x_a) f(x_b)] for x_a, x_b ~ N(0, q) of correlation c.

    >>> from torch import nn
    >>> product_moment(nn.ReLU(), q=1.0, c=1.0)
    0.5
    """
    closed = closed_form(f)
    return product_expectation(f, q, c) if closed is None else closed.product(q, c)


def slope_product_moment(f: Function, q: float, c: float) -> float:
    """E[f'(x_a) f'(x_b)] for x_a, x_b ~ N(0, q) of correlation c."""
    closed = closed_form(f)
    return product_expectation(derivative(f), q, c) if closed is None else closed.slope_product(q, c)


def correlation_map(
    f: Function, c: float, q: float, sigma_w: float, sigma_b: float, noise: float = 1
) -> float:
    """The next layer's correlation of two inputs of length q (Poole et al. 2016, eq. 5).

    Arguments:
        f: the activation.
        c: this layer's correlation.
        q: the length of both, of which the next layer's is the image.
        sigma_w: of the weights.
        sigma_b: of the biases.
        noise: E[m^2] of multiplicative noise m on each unit, of mean 1 and independent for the two inputs:
            1 / (1 - rate) for dropout (Schoenholz et al. 2017, eq. 12).

    >>> from torch import nn
    >>> round(correlation_map(nn.ReLU(), c=0.0, q=1.0, sigma_w=2**0.5, sigma_b=0.0), 4)
    0.3183
    """
    length = sigma_w**2 * noise * second_moment(f, q) + sigma_b**2
    return (sigma_w**2 * product_moment(f, q, c) + sigma_b**2) / length


def chi_c(f: Function, c: float, q: float, sigma_w: float, sigma_b: float, noise: float = 1) -> float:
    """dC/dc, the factor on a small difference from the correlation c (Poole et al. 2016, eq. 6).

    At c = 1 and a fixed point q it is chi_1.

    >>> from torch import nn
    >>> chi_c(nn.ReLU(), c=1.0, q=1.0, sigma_w=2**0.5, sigma_b=0.0)
    1.0
    """
    length = sigma_w**2 * noise * second_moment(f, q) + sigma_b**2
    return sigma_w**2 * q * slope_product_moment(f, q, c) / length


def c_star(f: Function, q: float, sigma_w: float, sigma_b: float, noise: float = 1) -> float:
    """The correlation that any two inputs approach with depth (Poole et al. 2016, section 2.2).

    It is below 1 in the chaotic phase, and with noise. C is convex on [0, 1], a power series in c with
    coefficients >= 0, so that Newton's method rises from 0 to its smallest fixed point and needs no bracket.

    >>> from torch import nn
    >>> c_star(nn.Tanh(), q=0.01, sigma_w=0.9, sigma_b=0.1)
    1.0
    """
    if noise == 1 and chi_c(f, 1.0, q, sigma_w, sigma_b) <= 1 + ROUNDING:
        return 1.0
    c = 0.0
    for _ in range(MOST_STEPS):
        excess = correlation_map(f, c, q, sigma_w, sigma_b, noise) - c
        step = excess / (1 - chi_c(f, c, q, sigma_w, sigma_b, noise))
        if not step > ROUNDING:
            break
        c = min(1.0, c + step)
    return c if math.isfinite(c) else 1.0


RADII = (10, 12)  # panels, and nodes per panel
ANGLES = (12, 8)  # on each side of each kink
Pairs = tuple[Tensor, Tensor, Tensor]


@functools.cache
def gaussian_radii() -> tuple[Tensor, Tensor]:
    """The length r of two independent N(0, 1), each `(120,)`: density r exp(-r^2 / 2)."""
    r, width = graded(CUTOFF, *RADII)
    w = width * r * torch.exp(-(r**2) / 2)
    return r, w / w.sum()


@functools.cache
def sphere_radii(dimensions: int) -> tuple[Tensor, Tensor]:
    """The length of two orthogonal coordinates of a point on the sphere of radius sqrt(dimensions).

    r = sqrt(D) sin(psi) with density sin(psi) cos(psi)^(D-3), for D > 2. For D to infinity the Gaussian's.
    """
    psi, width = graded(math.pi / 2, 24, RADII[1])
    w = width * psi.sin() * psi.cos() ** (dimensions - 3)
    return math.sqrt(dimensions) * psi.sin(), w / w.sum()


def pair_nodes(c: float, radii: tuple[Tensor, Tensor]) -> Pairs:
    """Nodes x_a, x_b of correlation c and unit variance with their weights, each `(radius, angle)`.

    In polar coordinates x = r cos(phi +- alpha / 2), alpha = arccos c, a kink at x = 0 is a ray, so that the
    angles can be graded towards it. Half of the plane is enough: exchanging a and b mirrors phi.
    """
    alpha = math.acos(max(-1.0, min(1.0, c)))
    first, second = (math.pi - alpha) / 2, (math.pi + alpha) / 2  # where x_a and x_b are 0
    t, width = graded(1.0, *ANGLES)
    pieces = [(first, -first), (first, alpha / 2), (second, -alpha / 2), (second, first)]
    phi = torch.cat([kink + span * t for kink, span in pieces])
    weight = torch.cat([abs(span) / math.pi * width for _, span in pieces])
    r, of_radius = radii
    x_a, x_b = (r[:, None] * torch.cos(phi + sign * alpha / 2) for sign in (1, -1))
    return x_a, x_b, of_radius[:, None] * weight


def pair_expectation(
    g: Callable[[Tensor, Tensor], Tensor], c: float, radii: tuple[Tensor, Tensor] | None = None
) -> float:
    """E[g(x_a, x_b)] of a g that is symmetric and smooth but for kinks at x_a = 0 and x_b = 0, to 1e-10."""
    x_a, x_b, w = pair_nodes(c, gaussian_radii() if radii is None else radii)
    with torch.no_grad():
        return float((w * g(x_a, x_b)).sum())


def product_expectation(f: Function, q: float, c: float) -> float:
    """E[f(x_a) f(x_b)] for x_a, x_b ~ N(0, q) of correlation c."""
    f, scale = in_float64(f), math.sqrt(q)
    return pair_expectation(lambda a, b: f(scale * a) * f(scale * b), c)


CRITICAL = 1e-3  # |chi_1 - 1| up to here: a thousand layers change a squared gradient by less than e
SMALLEST_CHANGE = 1e-9  # of the logarithm of a factor
TRAINABLE = 6.0  # depth scales xi_c: the deepest networks that trained (Schoenholz et al. 2017, fig. 5)


def depth_scale(factor: float) -> float:
    """1 / |ln factor|: after so many layers a quantity has changed by e; infinite where it does not.

    >>> round(depth_scale(0.9), 2)
    9.49
    """
    if factor <= 0 or math.isinf(factor):
        return 0.0
    change = abs(math.log(factor))
    return 1 / change if change > SMALLEST_CHANGE else math.inf


def xi_grad(f: Function, sigma_w: float, q: float) -> float:
    """Layers over which the squared gradient changes by e: 1 / |ln chi_1| (Schoenholz et al. 2017, eq. 17).

    It shrinks towards the input where chi_1 < 1, and grows where chi_1 > 1.

    >>> from torch import nn
    >>> xi_grad(nn.ReLU(), sigma_w=2**0.5, q=1.0)
    inf
    """
    return depth_scale(chi_1(f, sigma_w, q))


def xi_c(f: Function, q: float, sigma_w: float, sigma_b: float, noise: float = 1) -> float:
    """Layers over which two inputs come nearer to c_star by e (Schoenholz et al. 2017, eq. 9).

    So far anything about an input is carried.
    """
    q = min(max(q, TINY), LARGEST_LENGTH)
    c = c_star(f, q, sigma_w, sigma_b, noise)
    return depth_scale(chi_c(f, c, q, sigma_w, sigma_b, noise))


def xi_q(f: Function, sigma_w: float, q: float) -> float:
    """Layers over which a length comes nearer to q_star by e (Schoenholz et al. 2017, eq. 6)."""
    return depth_scale(chi_q(f, sigma_w, q))


def phase(chi: float) -> str:
    """`ordered` where gradients vanish with depth, `chaotic` where they explode, `critical` between.

    >>> phase(0.8)
    'ordered'
    """
    if abs(chi - 1) <= CRITICAL:
        return "critical"
    return "ordered" if chi < 1 else "chaotic"
