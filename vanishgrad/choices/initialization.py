"""Initial weights and biases. Fans count connections: fan_in per unit, fan_out = units x receptive field."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from vanishgrad.choices.activation import Activation, negative_slope
from vanishgrad.errors import at_least, one_of, positive
from vanishgrad.theory.critical import critical_point


class Initialization(Protocol):
    """How the weights of every layer start; `fill_bias_` has the biases."""

    name: ClassVar[str]

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        """Fill `weight`, `(outputs, inputs, *kernel)`, in place."""
        ...


def fans(weight: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight of shape `(outputs, inputs, *kernel)`."""
    field = math.prod(weight.shape[2:])
    return weight.shape[1] * field, weight.shape[0] * field


def _draw(weight: Tensor, variance: float, distribution: str, generator: torch.Generator) -> None:
    std = math.sqrt(variance)
    if distribution == "normal":
        weight.normal_(0.0, std, generator=generator)
    else:
        weight.uniform_(-std * math.sqrt(3), std * math.sqrt(3), generator=generator)


@dataclass(frozen=True)
class Default:
    """PyTorch's own: weights and biases uniform in +-1/sqrt(fan_in), so Var W = 1/(3 fan_in)."""

    name: ClassVar[str] = "default"

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        bound = 1 / math.sqrt(fans(weight)[0])
        weight.uniform_(-bound, bound, generator=generator)


@dataclass(frozen=True)
class Xavier:
    """Var W = 2 / (fan_in + fan_out), no gain; biases 0 (Glorot and Bengio 2010, eq. 12).

    Arguments:
        distribution: normal or uniform.
    """

    distribution: str = "normal"
    name: ClassVar[str] = "xavier"

    def __post_init__(self) -> None:
        one_of("init.distribution", self.distribution, ("normal", "uniform"))

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        _draw(weight, 2 / sum(fans(weight)), self.distribution, generator)


@dataclass(frozen=True)
class He:
    """Var W = 2 / ((1 + a^2) fan_in), a the negative slope; biases 0 (He et al. 2015, eq. 15).

    Arguments:
        distribution: normal or uniform.
    """

    distribution: str = "normal"
    name: ClassVar[str] = "he"

    def __post_init__(self) -> None:
        one_of("init.distribution", self.distribution, ("normal", "uniform"))

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        gain = 2 / (1 + negative_slope(act) ** 2)
        _draw(weight, gain / fans(weight)[0], self.distribution, generator)


@dataclass(frozen=True)
class LeCun:
    """Var W = 1 / fan_in; biases 0 (LeCun et al. 1998, section 4.6).

    Arguments:
        distribution: normal or uniform.
    """

    distribution: str = "normal"
    name: ClassVar[str] = "lecun"

    def __post_init__(self) -> None:
        one_of("init.distribution", self.distribution, ("normal", "uniform"))

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        _draw(weight, 1 / fans(weight)[0], self.distribution, generator)


@dataclass(frozen=True)
class Orthogonal:
    """A random orthogonal matrix (rows or columns orthonormal) times gain; biases 0 (Saxe et al. 2014).

    Arguments:
        gain: every singular value.
    """

    gain: float = 1.0
    name: ClassVar[str] = "orthogonal"

    def __post_init__(self) -> None:
        positive("init.gain", self.gain)

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        nn.init.orthogonal_(weight, self.gain, generator=generator)


@dataclass(frozen=True)
class Gaussian:
    """W ~ N(0, sigma_w^2 / fan_in), b ~ N(0, sigma_b^2): mean-field theory's own (Poole et al. 2016).

    Arguments:
        sigma_w: standard deviation of sqrt(fan_in) W.
        sigma_b: standard deviation of the biases.
    """

    sigma_w: float = 1.0
    sigma_b: float = 0.0
    name: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        at_least("init.sigma_w", self.sigma_w, 0)
        at_least("init.sigma_b", self.sigma_b, 0)

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        weight.normal_(0.0, self.sigma_w / math.sqrt(fans(weight)[0]), generator=generator)


@dataclass(frozen=True)
class Normal:
    """W ~ N(0, std^2) whatever the fan: initial weights too large, or too small; biases 0.

    Arguments:
        std: standard deviation of every weight.
    """

    std: float = 1.0
    name: ClassVar[str] = "normal"

    def __post_init__(self) -> None:
        at_least("init.std", self.std, 0)

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        weight.normal_(0.0, self.std, generator=generator)


@dataclass(frozen=True)
class Zeros:
    """Every weight and bias 0: the symmetry that training cannot break."""

    name: ClassVar[str] = "zeros"

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        weight.zero_()


@dataclass(frozen=True)
class LSUV:
    """Orthonormal weights, each layer then divided by its output's deviation (Mishkin and Matas 2016).

    The orthonormal start is drawn here; `vanishgrad.models.lsuv` does the second half, which needs data.

    Arguments:
        tolerance: a layer is done when its output variance is this close to 1.
        max_iterations: rescalings of a layer at the most.
        batch_size: training examples that the variances are measured on.
    """

    tolerance: float = 0.1
    max_iterations: int = 10
    batch_size: int = 256
    name: ClassVar[str] = "lsuv"

    def __post_init__(self) -> None:
        positive("init.tolerance", self.tolerance)
        at_least("init.max_iterations", self.max_iterations, 1)
        at_least("init.batch_size", self.batch_size, 2)

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        nn.init.orthogonal_(weight, generator=generator)


@dataclass(frozen=True)
class Critical:
    """Gaussian on the activation's edge of chaos (Schoenholz et al. 2017; Roberts et al. 2022).

    Solved numerically from the activation; an activation without a critical point is refused.
    """

    name: ClassVar[str] = "critical"

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        sigma_w, _ = edge_of_chaos(act)
        weight.normal_(0.0, sigma_w / math.sqrt(fans(weight)[0]), generator=generator)


@lru_cache(maxsize=64)
def edge_of_chaos(act: Activation) -> tuple[float, float]:
    """(sigma_w, sigma_b) of the activation's critical point."""
    sigma_w, sigma_b = critical_point(act.module())
    return sigma_w, sigma_b


def fill_bias_(
    init: Initialization, bias: Tensor, fan_in: int, act: Activation, generator: torch.Generator
) -> None:
    """Fill `bias`, `(outputs,)`, in place: zero unless the initialization says otherwise."""
    match init:
        case Default():
            bias.uniform_(-1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in), generator=generator)
        case Gaussian(sigma_b=sigma_b):
            bias.normal_(0.0, sigma_b, generator=generator)
        case Critical():
            bias.normal_(0.0, edge_of_chaos(act)[1], generator=generator)
        case _:
            bias.zero_()
