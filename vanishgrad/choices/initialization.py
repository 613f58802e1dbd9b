"""Initial weights and biases. Fans count connections: fan_in per unit, fan_out = units x receptive field."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from vanishgrad.choices.protocol import Activation, Initialization, Setting
from vanishgrad.errors import at_least, between, one_of, positive
from vanishgrad.modules.dropout import SeededDropout
from vanishgrad.modules.weights import WeightMatrix, weight_matrices
from vanishgrad.theory.critical import critical_point
from vanishgrad.theory.stack import Variances, Weights

MOST_ITERATIONS = 10_000  # of a rescaling that does not settle
Distribution: TypeAlias = Literal["normal", "uniform"]


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
class Default(Initialization):
    """PyTorch's own: weights and biases uniform in +-1/sqrt(fan_in), so Var W = 1/(3 fan_in)."""

    name: ClassVar[str] = "default"
    frameworks_own: ClassVar[bool] = True

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        bound = 1 / math.sqrt(fans(weight)[0])
        weight.uniform_(-bound, bound, generator=generator)

    def bias_(self, bias: Tensor, fan_in: int, act: Activation, generator: torch.Generator) -> None:
        bias.uniform_(-1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in), generator=generator)

    def variances(self, act: Activation, fan_in: int, fan_out: int) -> Variances | None:
        return 1 / 3, 1 / (3 * fan_in)


@dataclass(frozen=True)
class Xavier(Initialization):
    """Var W = 2 / (fan_in + fan_out), no gain; biases 0 (Glorot and Bengio 2010, eq. 12).

    Arguments:
        distribution: normal or uniform.
    """

    distribution: Distribution = "normal"
    name: ClassVar[str] = "xavier"

    def __post_init__(self) -> None:
        one_of("init.distribution", self.distribution, get_args(Distribution))

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        _draw(weight, 2 / sum(fans(weight)), self.distribution, generator)

    def variances(self, act: Activation, fan_in: int, fan_out: int) -> Variances | None:
        return 2 * fan_in / (fan_in + fan_out), 0.0


@dataclass(frozen=True)
class He(Initialization):
    """Var W = 2 / ((1 + a^2) fan_in), a the negative slope; biases 0 (He et al. 2015, eq. 15).

    Arguments:
        distribution: normal or uniform.
    """

    distribution: Distribution = "normal"
    name: ClassVar[str] = "he"

    def __post_init__(self) -> None:
        one_of("init.distribution", self.distribution, get_args(Distribution))

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        gain = 2 / (1 + act.negative_slope**2)
        _draw(weight, gain / fans(weight)[0], self.distribution, generator)

    def variances(self, act: Activation, fan_in: int, fan_out: int) -> Variances | None:
        return 2 / (1 + act.negative_slope**2), 0.0


@dataclass(frozen=True)
class LeCun(Initialization):
    """Var W = 1 / fan_in; biases 0 (LeCun et al. 1998, section 4.6).

    Arguments:
        distribution: normal or uniform.
    """

    distribution: Distribution = "normal"
    name: ClassVar[str] = "lecun"

    def __post_init__(self) -> None:
        one_of("init.distribution", self.distribution, get_args(Distribution))

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        _draw(weight, 1 / fans(weight)[0], self.distribution, generator)

    def variances(self, act: Activation, fan_in: int, fan_out: int) -> Variances | None:
        return 1.0, 0.0


@dataclass(frozen=True)
class Orthogonal(Initialization):
    """A random orthogonal matrix (rows or columns orthonormal) times gain; biases 0 (Saxe et al. 2014).

    Arguments:
        gain: every singular value.
    """

    gain: float = 1.0
    name: ClassVar[str] = "orthogonal"
    orthogonal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        positive("init.gain", self.gain)

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        nn.init.orthogonal_(weight, self.gain, generator=generator)

    def variances(self, act: Activation, fan_in: int, fan_out: int) -> Variances | None:
        return self.gain**2 * _orthonormal(fan_in, fan_out), 0.0


@dataclass(frozen=True)
class Gaussian(Initialization):
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

    def bias_(self, bias: Tensor, fan_in: int, act: Activation, generator: torch.Generator) -> None:
        bias.normal_(0.0, self.sigma_b, generator=generator)

    @property
    def is_zero(self) -> bool:
        return self.sigma_w == 0

    def variances(self, act: Activation, fan_in: int, fan_out: int) -> Variances | None:
        return self.sigma_w**2, self.sigma_b**2


@dataclass(frozen=True)
class Normal(Initialization):
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

    @property
    def is_zero(self) -> bool:
        return self.std == 0

    def variances(self, act: Activation, fan_in: int, fan_out: int) -> Variances | None:
        return self.std**2 * fan_in, 0.0


@dataclass(frozen=True)
class Zeros(Initialization):
    """Every weight and bias 0: the symmetry that training cannot break."""

    name: ClassVar[str] = "zeros"

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        weight.zero_()

    @property
    def is_zero(self) -> bool:
        return True

    def variances(self, act: Activation, fan_in: int, fan_out: int) -> Variances | None:
        return 0.0, 0.0


@dataclass(frozen=True)
class LSUV(Initialization):
    """Orthonormal weights, each layer then divided by its output's deviation (Mishkin and Matas 2016).

    The orthonormal start is drawn first (`weight_`), the second half needs data (`finish_`).

    Arguments:
        tolerance: a layer is done when its output variance is this close to 1.
        max_iterations: rescalings of a layer at most.
        batch_size: training examples that the variances are measured on.
    """

    tolerance: float = 0.1
    max_iterations: int = 10
    batch_size: int = 256
    name: ClassVar[str] = "lsuv"
    measures_data: ClassVar[bool] = True
    orthogonal: ClassVar[bool] = True

    def __post_init__(self) -> None:
        positive("init.tolerance", self.tolerance)
        between("init.max_iterations", self.max_iterations, 1, MOST_ITERATIONS)
        at_least("init.batch_size", self.batch_size, 2)

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        nn.init.orthogonal_(weight, generator=generator)

    @property
    def sample_size(self) -> int:
        return self.batch_size

    def finish_(self, model: nn.Module, batch: Tensor) -> None:
        unit_variance_(model, batch, self)

    def weights(self, act: Activation, fan_in: int, fan_out: int) -> Weights | None:
        return _unit_variance(_orthonormal(fan_in, fan_out), self.tolerance)


@dataclass(frozen=True)
class Critical(Initialization):
    """Gaussian on the activation's edge of chaos (Schoenholz et al. 2017; Roberts et al. 2022).

    Solved numerically from the activation; an activation without a critical point is refused.
    """

    name: ClassVar[str] = "critical"
    critical: ClassVar[bool] = True

    def weight_(self, weight: Tensor, act: Activation, generator: torch.Generator) -> None:
        sigma_w, _ = edge_of_chaos(act)
        weight.normal_(0.0, sigma_w / math.sqrt(fans(weight)[0]), generator=generator)

    def bias_(self, bias: Tensor, fan_in: int, act: Activation, generator: torch.Generator) -> None:
        bias.normal_(0.0, edge_of_chaos(act)[1], generator=generator)

    def variances(self, act: Activation, fan_in: int, fan_out: int) -> Variances | None:
        sigma_w, sigma_b = edge_of_chaos(act)
        return sigma_w**2, sigma_b**2

    def refuse(self, setting: Setting) -> None:
        edge_of_chaos(setting.act)


@lru_cache(maxsize=64)
def edge_of_chaos(act: Activation) -> tuple[float, float]:
    """(sigma_w, sigma_b) of the activation's critical point."""
    sigma_w, sigma_b = critical_point(act.module())
    return sigma_w, sigma_b


def _orthonormal(fan_in: int, fan_out: int) -> float:
    """fan_in times the variance of a matrix whose rows or columns, the shorter, are orthonormal."""
    return fan_in / max(fan_in, fan_out)


def _unit_variance(start: float, tolerance: float) -> Weights:
    """Rescaled to outputs of variance 1, where they are not near enough already (Mishkin and Matas 2016)."""

    def weights(square: float) -> Variances:
        q = start * square
        near = abs(q - 1) < tolerance or q <= 0
        return start if near else start / q, 0.0

    return weights


@torch.no_grad()
def unit_variance_(model: nn.Module, batch: Tensor, init: LSUV) -> None:
    """Divide each layer's weights by its output's deviation on `batch`, from the input up, until it is 1.

    One forward pass does it: a layer is rescaled when the pass reaches it, and passes its new output on.
    Batch statistics are used where the model normalizes over batches; its running statistics are reset.
    """
    for module in model.modules():
        module.train(not isinstance(module, SeededDropout))
    handles = [m.module.register_forward_hook(_rescale_(m, init)) for m in weight_matrices(model)]
    try:
        model(batch)
    finally:
        for handle in handles:
            handle.remove()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
    model.train()


def _rescale_(matrix: WeightMatrix, init: LSUV) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]:
    def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        for _ in range(init.max_iterations):
            variance = output.double().var().item()
            if abs(variance - 1) < init.tolerance or not 0 < variance < math.inf:
                break
            _divide_(matrix, math.sqrt(variance))
            output = module.forward(*inputs)
        return output

    return hook


def _divide_(matrix: WeightMatrix, factor: float) -> None:
    owner = matrix.parametrization
    scaled = matrix.weight if owner is None else owner.original0
    scaled.div_(factor)  # type: ignore[operator]
