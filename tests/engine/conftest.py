"""A small run, and the bare loop that a measured one must agree with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn

from vanishgrad.choices.data import Digits, load
from vanishgrad.choices.model.build import build
from vanishgrad.run import Run
from vanishgrad.streams import stream

Bare = Callable[..., nn.Module]


def order(run: Run, examples: int) -> list[Tensor]:
    """The rows of every batch of the run and of the one after: whole batches of a new order per epoch."""
    size, generator = int(run.batch_size), stream(run.seed, "order")
    batches: list[Tensor] = []
    assert run.max_steps is not None
    while len(batches) <= run.max_steps:
        rows = torch.randperm(examples, generator=generator)
        batches += [rows[at : at + size] for at in range(0, examples - size + 1, size)]
    return batches


def bare_loop(run: Run, momentum: float = 0.0, rates: Sequence[float] = ()) -> nn.Module:
    """`run` trained by torch.optim.SGD and nothing else: no measurement, no evaluation, no record."""
    model, data = build(run), load(run.data)
    x, y = data.train_x.to(getattr(torch, run.dtype)), data.train_y
    optimizer = torch.optim.SGD(model.parameters(), lr=run.rate, momentum=momentum, foreach=True)
    assert run.max_steps is not None
    for step, rows in enumerate(order(run, len(x))[: run.max_steps]):
        if rates:
            optimizer.param_groups[0]["lr"] = rates[step]
        optimizer.zero_grad()
        run.criterion(model(x[rows]), y[rows]).backward()
        optimizer.step()
    return model


def assert_same_state(one: nn.Module, other: nn.Module) -> None:
    """Weights, running statistics and noise counters agree bit for bit; nan equals nan."""
    ours, theirs = one.state_dict(), other.state_dict()
    assert list(ours) == list(theirs)
    for name, value in ours.items():
        torch.testing.assert_close(theirs[name], value, rtol=0, atol=0, equal_nan=True, msg=name)


@pytest.fixture
def small() -> Run:
    """Four steps per epoch, two hidden layers of 8 units."""
    return Run(depth=2, width=8, batch_size=16, max_steps=6, epochs=100, data=Digits(train_size=70))


@pytest.fixture
def bare() -> Bare:
    """`bare_loop`."""
    return bare_loop


@pytest.fixture
def same_state() -> Callable[[nn.Module, nn.Module], None]:
    """`assert_same_state`."""
    return assert_same_state


@pytest.fixture
def batches_of() -> Callable[[Run, int], list[Tensor]]:
    """`order`."""
    return order
