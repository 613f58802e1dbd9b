"""Clipping, an optimizer, a regularization and a schedule that a user wrote, alone and in a stack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from vanishgrad import Run, build, train
from vanishgrad.choices.activation import Tanh
from vanishgrad.choices.clipping import Clipping
from vanishgrad.choices.data import Digits, load
from vanishgrad.choices.optimizer import Optimizer, State
from vanishgrad.choices.regularization import Regularization
from vanishgrad.choices.schedule import Schedule
from vanishgrad.engine import Result
from vanishgrad.engine.plan import Order, batches
from vanishgrad.run import structure
from vanishgrad.sweeps.work import train_stack

SMALL = Run(
    depth=3, width=6, max_steps=6, log_every=2, eval_every=3, data=Digits(train_size=128), act=Tanh(),
    dtype="float64",
)  # fmt: skip


@dataclass(frozen=True)
class ClipEach(Clipping):
    """Every tensor scaled to the norm `size` where it is longer."""

    size: float = 0.02
    name: ClassVar[str] = "each"

    def clip_(self, gradients: Sequence[Tensor], parameters: Sequence[Tensor], output: int) -> None:
        for gradient in gradients[:output]:
            gradient.mul_((self.size / gradient.norm()).clamp(max=1.0))


@dataclass(frozen=True)
class Trust(Optimizer):
    """Momentum, with a step as long as a part of the tensor's own length: not elementwise."""

    momentum: float = 0.5
    name: ClassVar[str] = "trust"
    default_lr: ClassVar[float] = 0.05

    def start(self, parameters: Sequence[Tensor]) -> State:
        steps = [torch.zeros((), dtype=torch.float64) for _ in parameters]
        return {"velocity": [torch.zeros_like(parameter) for parameter in parameters], "steps": steps}

    def step_(self, parameters: list[Tensor], gradients: list[Tensor], state: State, lr: float) -> None:
        for parameter, gradient, velocity, steps in zip(
            parameters, gradients, state["velocity"], state["steps"], strict=True
        ):
            steps += 1
            velocity.mul_(self.momentum).add_(gradient)
            size = (1 + parameter.norm()) / (1 + velocity.norm())
            parameter.sub_(lr * size * velocity / steps.sqrt())


@dataclass(frozen=True)
class Cubic(Regularization):
    """+ strength * sum |w|^3 in the loss."""

    strength: float = 0.01
    name: ClassVar[str] = "cubic"

    def penalty(self, weights: Iterable[Tensor]) -> Tensor | None:
        return self.strength * torch.stack([weight.abs().pow(3).sum() for weight in weights]).sum()


@dataclass(frozen=True)
class Halving(Schedule):
    """Half the rate in the second half."""

    name: ClassVar[str] = "halving"

    def factor(self, progress: float) -> float:
        return 1.0 if progress < 0.5 else 0.5


OWN: dict[str, dict[str, Any]] = {
    "clip": {"clip": ClipEach()}, "optim": {"optim": Trust()}, "reg": {"reg": Cubic()},
    "schedule": {"schedule": Halving()},
    "all": {"clip": ClipEach(), "optim": Trust(), "reg": Cubic(), "schedule": Halving()},
}  # fmt: skip


def by_hand(run: Run) -> nn.Module:
    """The same training as a loop that knows nothing of stacks."""
    model, data = build(run), load(run.data).to(torch.device("cpu"), torch.float64)
    parameters = [parameter.detach() for parameter in model.parameters()]
    weights = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    state = run.optim.start(parameters)
    source = batches(run, data, Order(run, len(data.train_x)))
    assert run.max_steps is not None
    for step in range(run.max_steps):
        batch = next(source)
        loss = nn.functional.cross_entropy(model(batch.inputs), batch.targets)
        if run.reg == Cubic():
            loss = loss + 0.01 * sum(weight.abs().pow(3).sum() for weight in weights)
        gradients = [gradient.clone() for gradient in torch.autograd.grad(loss, list(model.parameters()))]
        run.clip.clip_(gradients, parameters, len(gradients) - 2)
        half = run.schedule == Halving() and step / run.max_steps >= 0.5
        run.optim.step_(parameters, gradients, state, run.rate * (0.5 if half else 1.0))
    return model


def stacked(runs: list[Run]) -> list[Result]:
    results: dict[int, Result] = {}
    train_stack(runs, results.__setitem__)
    return [results[place] for place in range(len(runs))]


def assert_close(one: nn.Module, other: nn.Module) -> None:
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("changes", OWN.values(), ids=OWN)
def test_a_choice_of_ones_own_trains_alone(changes: dict[str, Any]) -> None:
    run = replace(SMALL, **changes)
    assert_close(train(run).model, by_hand(run))
    assert not torch.equal(next(by_hand(run).parameters()), next(build(run).parameters()))


@pytest.mark.parametrize("changes", OWN.values(), ids=OWN)
def test_a_choice_of_ones_own_trains_in_a_stack(changes: dict[str, Any]) -> None:
    runs = [replace(SMALL, **changes, seed=seed, lr=lr) for seed, lr in enumerate((0.05, 0.02, 0.1))]
    for run, result in zip(runs, stacked(runs), strict=True):
        assert_close(result.model, by_hand(run))


def test_numbers_that_no_choice_says_it_can_vary_keep_runs_apart() -> None:
    assert structure(replace(SMALL, clip=ClipEach())) != structure(replace(SMALL, clip=ClipEach(0.5)))
    assert structure(replace(SMALL, optim=Trust())) != structure(replace(SMALL, optim=Trust(0.9)))
    assert structure(replace(SMALL, reg=Cubic())) != structure(replace(SMALL, reg=Cubic(1.0)))
    assert structure(replace(SMALL, clip=ClipEach(), seed=1)) == structure(replace(SMALL, clip=ClipEach()))


def test_what_others_ask_has_an_answer() -> None:
    assert ClipEach().clips
    assert not Trust().elementwise
    assert Cubic().penalizes
    assert (Cubic().decay, Cubic().dropout) == (0.0, 0.0)
    assert not Halving().steady
