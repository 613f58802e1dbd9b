"""The written-out pass of a plain perceptron against autograd."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch
from torch import nn

from vanishgrad.choices.activation import ELU, GELU, Identity, LeakyReLU, PReLU, ReLU, Sigmoid, SiLU, Tanh
from vanishgrad.choices.data import Digits, load
from vanishgrad.choices.loss import BCE, MSE, CrossEntropy
from vanishgrad.choices.model.build import build
from vanishgrad.choices.normalization import BatchNorm, WeightNorm
from vanishgrad.choices.protocol import Activation, Loss
from vanishgrad.choices.regularization import L2, Dropout, WeightDecay
from vanishgrad.choices.residual import IdentityShortcut
from vanishgrad.engine.chain import Chain
from vanishgrad.engine.passes import Eager
from vanishgrad.engine.trainer import Trainer
from vanishgrad.run import Run


@dataclass(frozen=True)
class Approximated(Activation):
    """GELU by its approximation with tanh."""

    name: ClassVar[str] = "approximated"

    def module(self) -> nn.Module:
        return nn.GELU(approximate="tanh")


SERVED: list[Activation] = [
    Identity(),
    Tanh(),
    Sigmoid(),
    ReLU(),
    GELU(),
    SiLU(),
    LeakyReLU(0.1),
    Approximated(),
]
CPU = torch.device("cpu")


def batch(run: Run) -> tuple[torch.Tensor, torch.Tensor]:
    data = load(run.data)
    return data.train_x[:48].to(getattr(torch, run.dtype)), data.train_y[:48]


@pytest.mark.parametrize("act", SERVED, ids=lambda act: act.name)
@pytest.mark.parametrize("loss", [CrossEntropy(), BCE(), MSE()], ids=lambda loss: loss.name)
@pytest.mark.parametrize("depth, dtype", [(0, "float32"), (1, "float64"), (4, "float32")])
def test_the_pass_equals_autograd_bit_by_bit(act: Activation, loss: Loss, depth: int, dtype: str) -> None:
    run = Run(depth=depth, width=24, act=act, loss=loss, dtype=dtype)
    trainer, model, (inputs, targets) = Trainer([run], CPU), build(run), batch(run)
    assert isinstance(trainer.network, Chain)
    done = trainer.forward_backward(inputs[None], targets[None], measured=True)
    outputs = model(inputs)
    value = loss(outputs, targets)
    expected = torch.autograd.grad(value, list(model.parameters()))
    assert torch.equal(done.losses[0], value)
    assert torch.equal(done.outputs[0], outputs)
    gradients = trainer.gradients.of_run(0)
    assert len(gradients) == len(expected)
    for ours, theirs in zip(gradients, expected, strict=True):
        assert torch.equal(ours, theirs)


def test_batches_of_several_sizes_have_passes_of_their_own() -> None:
    run = Run(depth=2, width=24, act=Tanh())
    trainer, model, (inputs, targets) = Trainer([run], CPU), build(run), batch(run)
    for size in (48, 7, 48):
        done = trainer.forward_backward(inputs[None, :size], targets[None, :size])
        assert torch.equal(done.outputs[0], model(inputs[:size]))


def through_autograd(run: Run) -> Trainer:
    trainer = Trainer([run], CPU)
    trainer.network = Eager(run, trainer.models[0], trainer.gradients)
    return trainer


@pytest.mark.parametrize("act", SERVED, ids=lambda act: act.name)
def test_measured_rows_are_those_of_the_taped_pass(act: Activation) -> None:
    run = Run(depth=3, width=24, act=act)
    rows = []
    for trainer in (Trainer([run], CPU), through_autograd(run)):
        inputs, targets = batch(run)
        trainer.forward_backward(inputs[None], targets[None], measured=True)
        trainer.update(0.1)
        rows.append(trainer.measurement.rows(0, 0)[0])
    assert rows[0] == rows[1]


def test_the_weights_of_fifty_steps_agree_with_autograd() -> None:
    run = Run(depth=3, width=24, act=Tanh(), data=Digits(train_size=200))
    trainers = [Trainer([run], CPU), through_autograd(run)]
    inputs, targets = batch(run)
    for _ in range(50):
        for trainer in trainers:
            trainer.forward_backward(inputs[None], targets[None])
            trainer.update(0.1)
    pairs = zip(*(trainer.models[0].parameters() for trainer in trainers), strict=True)
    for ours, theirs in pairs:
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    "changes",
    [
        {"act": ELU()},
        {"act": PReLU()},
        {"norm": BatchNorm()},
        {"norm": WeightNorm()},
        {"residual": IdentityShortcut()},
        {"reg": Dropout()},
        {"reg": L2()},
        {"recompute_every": 2},
    ],
    ids=str,
)
def test_what_is_no_plain_chain_is_left_to_autograd(changes: dict[str, object]) -> None:
    run = Run(depth=4, width=24)
    assert isinstance(Trainer([run], CPU).network, Chain)
    assert isinstance(Trainer([replace(run, reg=WeightDecay())], CPU).network, Chain)
    assert isinstance(Trainer([replace(run, **changes)], CPU).network, Eager)  # type: ignore[arg-type]
