"""Optimizers: the update rules of `torch.optim`, called as functions on lists of tensors.

Building a `torch.optim.Optimizer` imports torch's compiler, which takes longer than a short run; the
functions below are what those classes call. No optimizer has a weight decay of its own: that is
`reg=weight_decay`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor
from torch.optim.adagrad import adagrad
from torch.optim.adam import adam
from torch.optim.rmsprop import rmsprop

from vanishgrad.errors import positive, require
from vanishgrad.modules.packed import Number, add_, scale_

State = dict[str, list[Tensor]]


class Optimizer(Protocol):
    """An update rule with its memory. A choice of your own inherits this and writes `start` and `step_`.

    Attributes:
        default_lr: the learning rate where none is given.
        varies: the numbers in which the runs of a stack may differ; a choice that names some writes
            `step_runs_`, which is given them.
        elementwise: whether the rule reads no parameter, treats every element by itself, and changes it in
            proportion to the rate. All runs of a stack then take their step at once, else one by one.
    """

    name: ClassVar[str]
    default_lr: ClassVar[float] = 1e-3
    varies: ClassVar[tuple[str, ...]] = ()
    elementwise: ClassVar[bool] = False

    def start(self, parameters: Sequence[Tensor]) -> State:
        """The memory before the first step: lists of tensors by name."""
        ...

    def step_(self, parameters: list[Tensor], gradients: list[Tensor], state: State, lr: float) -> None:
        """Update `parameters` and `state` of one run in place."""
        ...

    def step_runs_(
        self, parameters: list[Tensor], gradients: list[Tensor], state: State, rates: Number,
        numbers: Mapping[str, Number],
    ) -> None:  # fmt: skip
        """The same for tensors of all runs, `(runs, ...)`, where the choice names what `varies`.

        Arguments:
            rates: the learning rate of each run.
            numbers: what `varies` names, of each run.
        """
        assert isinstance(rates, float), f"{type(self).__name__} names no number that varies"
        self.step_(parameters, gradients, state, rates)


def _zeros(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [torch.zeros_like(parameter) for parameter in parameters]


def _counters(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [torch.zeros((), dtype=torch.float32) for _ in parameters]


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent: v = momentum v + g, w = w - lr v (Polyak 1964; no dampening).

    Arguments:
        momentum: 0 for plain gradient descent.
    """

    momentum: float = 0.0
    name: ClassVar[str] = "sgd"
    default_lr: ClassVar[float] = 0.1
    varies: ClassVar[tuple[str, ...]] = ("momentum",)
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(0 <= self.momentum < 1, f"optim.momentum={self.momentum}: must be at least 0 and below 1")

    def start(self, parameters: Sequence[Tensor]) -> State:
        return {"velocity": _zeros(parameters)} if self.momentum else {}

    def step_(self, parameters: list[Tensor], gradients: list[Tensor], state: State, lr: float) -> None:
        self.step_runs_(parameters, gradients, state, lr, {"momentum": self.momentum})

    def step_runs_(
        self, parameters: list[Tensor], gradients: list[Tensor], state: State, rates: Number,
        numbers: Mapping[str, Number],
    ) -> None:  # fmt: skip
        change = gradients
        if "velocity" in state:
            change = list(state["velocity"])
            scale_(change, numbers["momentum"])
            torch._foreach_add_(change, gradients)
        add_(parameters, change, -rates)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma and Ba 2015).

    Arguments:
        beta1: decay of the mean of gradients.
        beta2: decay of the mean of squares.
        eps: added to the root of the mean square.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    name: ClassVar[str] = "adam"
    default_lr: ClassVar[float] = 1e-3
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_adam(self.beta1, self.beta2, self.eps)

    def start(self, parameters: Sequence[Tensor]) -> State:
        return _start_adam(parameters)

    def step_(self, parameters: list[Tensor], gradients: list[Tensor], state: State, lr: float) -> None:
        _adam_(parameters, gradients, state, lr, self.beta1, self.beta2, self.eps)


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam whose decoupled decay is `reg=weight_decay` (Loshchilov and Hutter 2019); without it, Adam itself.

    PyTorch's default of 0.01 is `reg=weight_decay reg.strength=0.01`; of all optimizers' decays it is the one
    way, so that `optim=adam reg=weight_decay` is AdamW too, byte for byte.

    Arguments:
        beta1: decay of the mean of gradients.
        beta2: decay of the mean of squares.
        eps: added to the root of the mean square.
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    name: ClassVar[str] = "adamw"
    default_lr: ClassVar[float] = 1e-3
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_adam(self.beta1, self.beta2, self.eps)

    def start(self, parameters: Sequence[Tensor]) -> State:
        return _start_adam(parameters)

    def step_(self, parameters: list[Tensor], gradients: list[Tensor], state: State, lr: float) -> None:
        _adam_(parameters, gradients, state, lr, self.beta1, self.beta2, self.eps)


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adagrad (Duchi et al. 2011): each weight's rate falls with its sum of squared gradients.

    Arguments:
        eps: added to the root of the sum.
    """

    eps: float = 1e-10
    name: ClassVar[str] = "adagrad"
    default_lr: ClassVar[float] = 1e-2
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        positive("optim.eps", self.eps)

    def start(self, parameters: Sequence[Tensor]) -> State:
        return {"sum_of_squares": _zeros(parameters), "steps": _counters(parameters)}

    def step_(self, parameters: list[Tensor], gradients: list[Tensor], state: State, lr: float) -> None:
        adagrad(
            parameters, gradients, state["sum_of_squares"], state["steps"], foreach=True, lr=lr,
            weight_decay=0.0, lr_decay=0.0, eps=self.eps, maximize=False,
        )  # fmt: skip


@dataclass(frozen=True)
class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012): steps divided by a running root mean square.

    Arguments:
        alpha: decay of the mean of squares.
        eps: added to its root.
    """

    alpha: float = 0.99
    eps: float = 1e-8
    name: ClassVar[str] = "rmsprop"
    default_lr: ClassVar[float] = 1e-3
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(0 <= self.alpha < 1, f"optim.alpha={self.alpha}: must be at least 0 and below 1")
        positive("optim.eps", self.eps)

    def start(self, parameters: Sequence[Tensor]) -> State:
        return {"mean_square": _zeros(parameters), "steps": _counters(parameters)}

    def step_(self, parameters: list[Tensor], gradients: list[Tensor], state: State, lr: float) -> None:
        rmsprop(
            parameters, gradients, state["mean_square"], [], [], state["steps"], foreach=True, lr=lr,
            alpha=self.alpha, eps=self.eps, weight_decay=0.0, momentum=0.0, centered=False, maximize=False,
        )  # fmt: skip


def _check_adam(beta1: float, beta2: float, eps: float) -> None:
    require(0 <= beta1 < 1, f"optim.beta1={beta1}: must be at least 0 and below 1")
    require(0 <= beta2 < 1, f"optim.beta2={beta2}: must be at least 0 and below 1")
    require(math.isfinite(eps) and eps > 0, f"optim.eps={eps}: must be finite, above 0")


def _start_adam(parameters: Sequence[Tensor]) -> State:
    return {"mean": _zeros(parameters), "mean_square": _zeros(parameters), "steps": _counters(parameters)}


def _adam_(
    parameters: list[Tensor], gradients: list[Tensor], state: State,
    lr: float, beta1: float, beta2: float, eps: float,
) -> None:  # fmt: skip
    adam(
        parameters, gradients, state["mean"], state["mean_square"], [], state["steps"], foreach=True,
        amsgrad=False, beta1=beta1, beta2=beta2, lr=lr, weight_decay=0.0, eps=eps, maximize=False,
    )  # fmt: skip
