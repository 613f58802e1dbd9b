"""Regularization of the weights (no biases, no normalization parameters), and dropout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from vanishgrad.errors import at_least, instance_of, require
from vanishgrad.modules.weights import WeightMatrix, weight_matrices


class Regularization(Protocol):
    """What is added to the loss, and what else holds the weights back.

    A choice of your own inherits this and writes `penalty`.

    Attributes:
        varies: the numbers in which the runs of a stack may differ; a penalty that names some writes `parts`.
        drops: whether networks have dropout layers, with the probability `dropout`.
    """

    name: ClassVar[str]
    varies: ClassVar[tuple[str, ...]] = ()
    drops: ClassVar[bool] = False

    def penalty(self, weights: Iterable[Tensor]) -> Tensor | None:
        """A differentiable scalar added to the loss; None for nothing."""
        return None

    @property
    def penalizes(self) -> bool:
        """Whether something is added to the loss."""
        return type(self).penalty is not Regularization.penalty

    def parts(self) -> Sequence[tuple[Regularization, float]]:
        """Penalties that add up to this one when each is multiplied by its factor.

        The runs of a stack have the same penalties, and may differ in the factors.
        """
        return [(self, 1.0)] if self.penalizes else []

    @property
    def decay(self) -> float:
        """The strength of decoupled weight decay: weights times 1 - lr * decay before each step."""
        return 0.0

    @property
    def dropout(self) -> float:
        """The probability with which a hidden unit's output is 0 while training."""
        return 0.0

    @property
    def noise(self) -> float:
        """E[m^2] of dropout's factors m, which are 0 or 1 / (1 - rate)."""
        return 1 / (1 - self.dropout)


@dataclass(frozen=True)
class NoReg(Regularization):
    """No regularization."""

    name: ClassVar[str] = "none"


@dataclass(frozen=True)
class L1(Regularization):
    """+ strength * sum |w| in the loss (Tibshirani 1996).

    Arguments:
        strength: factor of the sum over all weights.
    """

    strength: float = 1e-4
    name: ClassVar[str] = "l1"
    varies: ClassVar[tuple[str, ...]] = ("strength",)

    def __post_init__(self) -> None:
        at_least("reg.strength", self.strength, 0)

    def penalty(self, weights: Iterable[Tensor]) -> Tensor | None:
        return self.strength * _total(weight.abs().sum() for weight in weights)

    def parts(self) -> Sequence[tuple[Regularization, float]]:
        return [(L1(1.0), self.strength)]


@dataclass(frozen=True)
class L2(Regularization):
    """+ strength * sum w^2 in the loss (Hoerl and Kennard 1970).

    Arguments:
        strength: factor of the sum over all weights; no factor 1/2.
    """

    strength: float = 1e-4
    name: ClassVar[str] = "l2"
    varies: ClassVar[tuple[str, ...]] = ("strength",)

    def __post_init__(self) -> None:
        at_least("reg.strength", self.strength, 0)

    def penalty(self, weights: Iterable[Tensor]) -> Tensor | None:
        return self.strength * _total(weight.square().sum() for weight in weights)

    def parts(self) -> Sequence[tuple[Regularization, float]]:
        return [(L2(1.0), self.strength)]


@dataclass(frozen=True)
class ElasticNet(Regularization):
    """+ l1 * sum |w| + l2 * sum w^2 in the loss (Zou and Hastie 2005).

    Arguments:
        l1: factor of the absolute values.
        l2: factor of the squares.
    """

    l1: float = 1e-4
    l2: float = 1e-4
    name: ClassVar[str] = "elastic_net"
    varies: ClassVar[tuple[str, ...]] = ("l1", "l2")

    def __post_init__(self) -> None:
        at_least("reg.l1", self.l1, 0)
        at_least("reg.l2", self.l2, 0)

    def penalty(self, weights: Iterable[Tensor]) -> Tensor | None:
        return _total(self.l1 * w.abs().sum() + self.l2 * w.square().sum() for w in weights)

    def parts(self) -> Sequence[tuple[Regularization, float]]:
        return [(L1(1.0), self.l1), (L2(1.0), self.l2)]


@dataclass(frozen=True)
class WeightDecay(Regularization):
    """Weights times 1 - lr * strength before each step (decoupled; Loshchilov and Hutter 2019).

    Arguments:
        strength: decay per step and unit of learning rate.
    """

    strength: float = 1e-2
    name: ClassVar[str] = "weight_decay"
    varies: ClassVar[tuple[str, ...]] = ("strength",)

    def __post_init__(self) -> None:
        at_least("reg.strength", self.strength, 0)

    @property
    def decay(self) -> float:
        return self.strength


@dataclass(frozen=True)
class Dropout(Regularization):
    """Each hidden unit's output is 0 with probability rate while training (Srivastava et al. 2014).

    Arguments:
        rate: probability of a zero; the others are divided by 1 - rate.
    """

    rate: float = 0.5
    name: ClassVar[str] = "dropout"
    varies: ClassVar[tuple[str, ...]] = ("rate",)
    drops: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(0 <= self.rate < 1, f"reg.rate={self.rate}: must be at least 0 and below 1")

    @property
    def dropout(self) -> float:
        return self.rate


def decaying(matrices: Iterable[WeightMatrix]) -> list[Tensor]:
    """The parameters that weight decay multiplies: the weights; with weight normalization their lengths g."""
    owners = ((matrix, matrix.parametrization) for matrix in matrices)
    parameters = (m.weight if owner is None else owner.original0 for m, owner in owners)
    return [parameter.detach() for parameter in parameters]  # type: ignore[operator]


def penalty(model: nn.Module, scope: str = "", reg: Regularization | None = None) -> Tensor:
    """The penalty of a model's weights, or of one part of it, as a differentiable scalar.

    Arguments:
        model: any module.
        scope: a module path such as `block_3`; only weights of that module and below count. Empty: all.
        reg: the regularization; the default is `L2(1.0)`, the sum of the squared weights.

    Raises:
        SettingError: when `model` has no module `scope`.
    """
    instance_of("penalty", model, nn.Module, "any torch.nn.Module")
    paths = {path for path, _ in model.named_modules()}
    require(scope in paths, f"scope={scope}: no such module; choose one of {', '.join(sorted(paths - {''}))}")
    part = model.get_submodule(scope)
    weights = [matrix.weight for matrix in weight_matrices(part)]
    value = (reg or L2(1.0)).penalty(weights) if weights else None
    return torch.zeros(()) if value is None else value


def _total(terms: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(terms)).sum()
