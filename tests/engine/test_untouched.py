"""Measuring, evaluating and recomputing leave a run as it is, bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import nn

from vanishgrad.choices.activation import (
    ELU,
    GELU,
    SELU,
    Erf,
    LeakyReLU,
    Mish,
    PReLU,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
)
from vanishgrad.choices.model.feedforward import CNN
from vanishgrad.choices.normalization import BatchNorm, LayerNorm, RMSNorm, WeightNorm
from vanishgrad.choices.optimizer import SGD, Adam
from vanishgrad.choices.protocol import Activation
from vanishgrad.choices.regularization import L2, Dropout, WeightDecay
from vanishgrad.choices.residual import DenseShortcut, HighwayShortcut, IdentityShortcut, Rezero
from vanishgrad.choices.schedule import CosineLR
from vanishgrad.engine import train
from vanishgrad.run import Run

Same = Callable[[nn.Module, nn.Module], None]
ACTIVATIONS: list[Activation] = [  # whose slopes are taken by autograd
    ELU(), GELU(), SELU(), Erf(), LeakyReLU(), Mish(), PReLU(), SiLU(), Softplus(), Softsign(),
]  # fmt: skip
VARIANTS = {
    "plain": {"act": Tanh()},
    "gelu": {"act": GELU()},
    "batch": {"norm": BatchNorm()},
    "dropout": {"reg": Dropout(0.3)},
    "weight": {"norm": WeightNorm()},
    "batch_dropout": {"norm": BatchNorm(position="post"), "reg": Dropout(0.3)},
    "residual": {"depth": 5, "residual": IdentityShortcut(), "norm": LayerNorm()},
    "recompute": {"depth": 5, "recompute_every": 2},
    "recompute_dropout": {"depth": 5, "recompute_every": 2, "reg": Dropout(0.3)},
    "recompute_batch": {"depth": 5, "recompute_every": 2, "norm": BatchNorm()},
    "float64": {"dtype": "float64"},
}


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_fifty_measured_steps_equal_the_bare_loop_bit_for_bit(
    changes: dict[str, object], small: Run, bare: Callable[[Run], nn.Module], same_state: Same
) -> None:
    run = replace(small, max_steps=50, log_every=1, eval_every=3, **changes)  # type: ignore[arg-type]
    same_state(train(run).model, bare(run))


@pytest.mark.parametrize("log_every, measure", [(1, "all"), (7, "all"), (1, "gradients"), (3, "gradients")])
@pytest.mark.parametrize("optim", [SGD(momentum=0.9), Adam()], ids=lambda optim: optim.name)
def test_how_often_and_how_much_is_measured_changes_nothing(
    log_every: int, measure: str, optim: SGD | Adam, small: Run, same_state: Same
) -> None:
    run = replace(small, max_steps=50, norm=BatchNorm(), reg=Dropout(0.2), optim=optim)
    seldom = train(replace(run, log_every=1000))
    same_state(train(replace(run, log_every=log_every, measure=measure)).model, seldom.model)


def test_momentum_is_that_of_torch(small: Run, bare: Callable[..., nn.Module], same_state: Same) -> None:
    run = replace(small, max_steps=30, optim=SGD(momentum=0.9))
    same_state(train(run).model, bare(run, momentum=0.9))


def test_schedule_and_warm_up_set_the_rate_of_each_update(
    small: Run, bare: Callable[..., nn.Module], same_state: Same
) -> None:
    run = replace(small, max_steps=10, lr=0.3, warmup=4, schedule=CosineLR())
    rates = [0.3 * (step + 1) / 4 for step in range(4)]
    rates += [0.3 * 0.5 * (1 + math.cos(math.pi * step / 6)) for step in range(6)]
    same_state(train(run).model, bare(run, rates=rates))


def test_decoupled_decay_shrinks_the_weights_and_nothing_else(
    small: Run, bare: Callable[..., nn.Module]
) -> None:
    run = replace(small, max_steps=1, norm=BatchNorm(), lr=0.2, dtype="float64")
    plain, start = bare(run).state_dict(), bare(replace(run, max_steps=0)).state_dict()
    decayed = train(replace(run, reg=WeightDecay(0.5))).model
    for name, value in decayed.named_parameters():
        shrunk = 0.2 * 0.5 * start[name] if value.ndim == 2 else torch.zeros_like(value)
        torch.testing.assert_close(value.detach(), plain[name] - shrunk, rtol=1e-12, atol=1e-14)


def test_saving_and_snapshots_change_nothing(small: Run, tmp_path: Path, same_state: Same) -> None:
    run = replace(small, norm=BatchNorm(), reg=Dropout(0.2))
    same_state(train(replace(run, save_every=2, snapshots=3), tmp_path).model, train(run).model)


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"norm": BatchNorm()}, {"reg": Dropout(0.3)}, {"norm": BatchNorm(), "reg": Dropout(0.3)},
        {"norm": BatchNorm(), "residual": IdentityShortcut()}, {"residual": DenseShortcut(), "reg": L2(0.01)},
        {"norm": WeightNorm()},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("every", [1, 2, 100])
def test_recomputing_changes_neither_weights_nor_statistics_nor_rows(
    every: int, changes: dict[str, object], small: Run, same_state: Same
) -> None:
    run = replace(small, depth=6, log_every=2, **changes)  # type: ignore[arg-type]
    kept, again = train(run), train(replace(run, recompute_every=every))
    same_state(again.model, kept.model)
    pd.testing.assert_frame_equal(again.gradients, kept.gradients, check_exact=True)
    pd.testing.assert_frame_equal(
        again.metrics.drop(columns="seconds"), kept.metrics.drop(columns="seconds"), check_exact=True
    )


@pytest.mark.parametrize("act", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("kind", [{}, {"model": CNN(stages=2), "width": 4}], ids=["mlp", "cnn"])
def test_recomputing_leaves_the_statistics_of_every_activation(
    act: Activation, kind: dict[str, object], small: Run, same_state: Same
) -> None:
    run = replace(small, depth=4, log_every=2, act=act, **kind)  # type: ignore[arg-type]
    kept, again = train(run), train(replace(run, recompute_every=1))
    same_state(again.model, kept.model)
    pd.testing.assert_frame_equal(again.gradients, kept.gradients, rtol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"residual": HighwayShortcut()}, {"residual": HighwayShortcut(), "norm": BatchNorm()},
        {"residual": DenseShortcut()},
        {"residual": IdentityShortcut(), "norm": RMSNorm()}, {"residual": Rezero(), "act": ELU()},
        {"residual": HighwayShortcut(), "model": CNN(stages=2), "width": 4},
    ],
    ids=str,
)  # fmt: skip
def test_looking_at_shortcuts_changes_no_weight(
    changes: dict[str, object], small: Run, same_state: Same
) -> None:
    run = replace(small, depth=6, max_steps=60, **changes)  # type: ignore[arg-type]
    same_state(train(replace(run, log_every=1)).model, train(replace(run, log_every=1000)).model)


def test_global_random_numbers_are_neither_used_nor_changed(small: Run, same_state: Same) -> None:
    run = replace(small, reg=Dropout(0.3))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        state = torch.get_rng_state()
        first = train(run)
        assert torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(2)
        same_state(train(run).model, first.model)
