"""A stack of runs against the same runs alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from vanishgrad import Run, train
from vanishgrad.choices.activation import ReLU, Sigmoid, Tanh
from vanishgrad.choices.clipping import AGC, ClipByNorm, ClipByValue
from vanishgrad.choices.data import Adding, CopyMemory, Digits, MovingDigits, Spirals, TemporalOrder, load
from vanishgrad.choices.initialization import LSUV, He, Normal, Xavier
from vanishgrad.choices.loss import BCE, MSE
from vanishgrad.choices.model.conv_lstm import ConvLSTM
from vanishgrad.choices.model.feedforward import CNN, MLP
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN
from vanishgrad.choices.normalization import BatchNorm, LayerNorm
from vanishgrad.choices.optimizer import SGD
from vanishgrad.choices.pretraining import RBM, Autoencoder, DenoisingAutoencoder
from vanishgrad.choices.regularization import L1, L2, Dropout, ElasticNet, WeightDecay
from vanishgrad.choices.residual import Fixup, IdentityShortcut, Rezero
from vanishgrad.choices.schedule import CosineLR, StepLR
from vanishgrad.description import choices_in
from vanishgrad.engine import Result
from vanishgrad.engine.chain import Chain
from vanishgrad.engine.passes import StackedDropout
from vanishgrad.engine.plan import Order, batches
from vanishgrad.modules.dropout import SeededDropout
from vanishgrad.sweeps.work import train_stack

SMALL: dict[str, Any] = {
    "depth": 4, "width": 8, "max_steps": 8, "log_every": 3, "eval_every": 5, "data": Digits(train_size=128),
    "dtype": "float64",
}  # fmt: skip
SEQUENCES = Adding(length=6, train_size=128, held_out=64)
FRAMES: dict[str, Any] = {
    "model": ConvLSTM(), "depth": 1, "width": 3, "batch_size": 4, "max_steps": 4,
    "data": MovingDigits(train_size=16, held_out=4),
}  # fmt: skip
IMAGES = {"model": CNN(stages=2), "depth": 3, "width": 4, "max_steps": 4, "act": Tanh()}
# Stacked operations round in another order, and eight steps of training make that larger; in float64 what is
# left is far under any difference in the computation. CSV and its frames keep nine digits.
TOLERANCE = 1e-7
FLOOR = 1e-11  # for numbers that are 0 but for rounding
# What is 0 but for rounding in some networks (before a batch norm, a bias changes nothing) is compared on
# the scale of what it is computed beside.
BESIDE = {"bias_grad_norm": "grad_norm", "act_mean": "act_std"}


def stacked(runs: list[Run]) -> list[Result]:
    results: dict[int, Result] = {}
    train_stack(runs, results.__setitem__)
    return [results[place] for place in range(len(runs))]


def seeds(**changes: Any) -> list[Run]:
    run = Run(**(SMALL | changes))
    return [replace(run, seed=seed, lr=rate * run.rate) for seed, rate in enumerate((1.0, 0.3))]


def assert_alike(
    mine: pd.DataFrame, lone: pd.DataFrame, tolerance: float = TOLERANCE, floor: float = FLOOR
) -> None:
    assert mine.shape == lone.shape
    for column in lone.columns.drop("seconds", errors="ignore"):
        if lone[column].dtype.kind in "fiu":
            x, y = mine[column].to_numpy(float), lone[column].to_numpy(float)
            size = np.nan_to_num(lone[BESIDE[column]].to_numpy(float)) if column in BESIDE else 0.0
            np.testing.assert_allclose(x + size, y + size, tolerance, floor, err_msg=column)
        else:
            assert mine[column].tolist() == lone[column].tolist()


def assert_equal_to_lone_runs(
    runs: list[Run], tolerance: float = TOLERANCE, floor: float = FLOOR
) -> list[Result]:
    found = stacked(runs)
    for run, mine in zip(runs, found, strict=True):
        lone = train(run)
        assert (mine.run, mine.status, mine.steps) == (run, lone.status, lone.steps)
        assert_alike(mine.gradients, lone.gradients, tolerance, floor)
        assert_alike(mine.metrics, lone.metrics, tolerance, floor)
        assert mine.extra.keys() == lone.extra.keys()
        for name, table in lone.extra.items():
            assert_alike(mine.extra[name], table, tolerance, floor)
        assert_same_state(mine.model, lone.model, tolerance, floor)
    return found


def assert_same_state(mine: nn.Module, lone: nn.Module, tolerance: float, floor: float) -> None:
    one, other = mine.state_dict(), lone.state_dict()
    assert one.keys() == other.keys()
    for name, value in other.items():
        if isinstance(value, Tensor):
            torch.testing.assert_close(one[name], value, rtol=100 * tolerance, atol=100 * floor, msg=name)
        else:
            assert one[name] == value  # calls of a dropout


def of_group(group: str, but: str = "") -> list[Any]:
    return [pytest.param(kind, id=name) for name, kind in choices_in(group).items() if name != but]


def small_norm(kind: type, position: str) -> Any:
    return kind(position=position, **({"groups": 2} if kind.name == "group" else {}))


@pytest.mark.parametrize("reg", [{}, {"reg": L2(1e-3)}], ids=["chain", "vmap"])
@pytest.mark.parametrize("kind", of_group("act"))
def test_every_activation(kind: type, reg: dict[str, Any]) -> None:
    assert_equal_to_lone_runs(seeds(act=kind(), **reg))


@pytest.mark.parametrize("position", ["pre", "post"])
@pytest.mark.parametrize("kind", of_group("norm", but="instance"))
def test_every_normalization(kind: type, position: str) -> None:
    """With tanh: a group of two units of relu has no variance where both are 0, and explodes."""
    assert_equal_to_lone_runs(seeds(norm=small_norm(kind, position), act=Tanh(), init=He()))


@pytest.mark.parametrize("position", ["pre", pytest.param("post", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", of_group("norm"))
def test_every_normalization_of_images(kind: type, position: str) -> None:
    assert_equal_to_lone_runs(seeds(norm=small_norm(kind, position), **IMAGES))


@pytest.mark.parametrize("norm", [{}, {"norm": BatchNorm(), "act": Sigmoid()}], ids=["none", "batch"])
@pytest.mark.parametrize("kind", of_group("residual"))
def test_every_residual(kind: type, norm: dict[str, Any]) -> None:
    assert_equal_to_lone_runs(seeds(residual=kind(), depth=5, **norm))


@pytest.mark.slow
@pytest.mark.parametrize("kind", of_group("residual"))
def test_every_residual_of_images(kind: type) -> None:
    assert_equal_to_lone_runs(seeds(residual=kind(), **(IMAGES | {"depth": 5})))


@pytest.mark.parametrize("kind", of_group("init"))
def test_every_initialization(kind: type) -> None:
    assert_equal_to_lone_runs(seeds(init=kind(), act=Tanh()))


@pytest.mark.parametrize("reg", [{}, {"reg": WeightDecay(0.5)}], ids=["none", "decay"])
@pytest.mark.parametrize("kind", of_group("optim"))
def test_every_optimizer(kind: type, reg: dict[str, Any]) -> None:
    assert_equal_to_lone_runs(seeds(optim=kind(), act=Tanh(), init=Xavier(), **reg))


@pytest.mark.parametrize("model", [{}, {"reg": L1(1e-3)}, pytest.param(IMAGES, marks=pytest.mark.slow)])
@pytest.mark.parametrize("loss", [BCE(), MSE()])
def test_every_loss(loss: Any, model: dict[str, Any]) -> None:
    assert_equal_to_lone_runs(seeds(**({"loss": loss, "act": Tanh(), "lr": 0.01} | model)))


@pytest.mark.parametrize(
    "changes",
    [
        {"model": CNN(), "width": 4},
        {"model": CNN(stages=2), "width": 4, "residual": IdentityShortcut(), "norm": BatchNorm(), "depth": 5},
        {"data": Spirals(train_size=128), "act": Tanh()},
        {"model": RNN(), "depth": 2, "data": SEQUENCES},
        {"model": RNN(recurrent_init="identity"), "act": ReLU(), "depth": 1, "data": SEQUENCES},
        {"model": LSTM(), "depth": 2, "data": SEQUENCES},
        {"model": LSTM(peepholes=True, chrono=6), "depth": 1, "data": SEQUENCES, "norm": LayerNorm()},
        {"model": GRU(), "depth": 1, "data": SEQUENCES, "norm": LayerNorm()},
        {"model": GRU(), "depth": 2, "data": TemporalOrder(length=20, train_size=128, held_out=64)},
        {"model": LSTM(), "depth": 1, "data": CopyMemory(length=5, memory=3, train_size=128, held_out=64)},
        {"model": RNN(), "depth": 1, "data": Digits(train_size=128)},
        {"model": RNN(), "depth": 2, "data": Digits(train_size=128), "reg": Dropout(0.2)},
        FRAMES,
        FRAMES | {"depth": 2, "loss": MSE(), "model": ConvLSTM(peepholes=False), "max_steps": 2},
    ],
    ids=[
        "cnn", "resnet", "spirals", "rnn", "irnn", "lstm", "peepholes", "gru", "temporal_order", "copy",
        "rows", "dropout", "conv_lstm", "conv_lstm_2",
    ],
)  # fmt: skip
def test_every_model(changes: dict[str, Any]) -> None:
    assert_equal_to_lone_runs(seeds(**changes))


@pytest.mark.parametrize(
    "key, values",
    [
        ("clip", (ClipByNorm(0.05), ClipByNorm(10.0))),
        ("clip", (ClipByValue(1e-3), ClipByValue(1.0))),
        ("clip", (AGC(1e-3), AGC(0.5))),
        ("reg", (L1(1e-3), L1(0.0))),
        ("reg", (L2(1e-3), L2(1e-1))),
        ("reg", (ElasticNet(1e-3, 1e-2), ElasticNet(1e-2, 1e-3))),
        ("reg", (WeightDecay(0.0), WeightDecay(1.0))),
        ("reg", (Dropout(0.2), Dropout(0.5), Dropout(0.0))),
        ("optim", (SGD(), SGD(momentum=0.9))),
        ("init", (He(), Normal(std=0.3), LSUV(), choices_in("init")["zeros"]())),
        ("schedule", (CosineLR(), StepLR(), choices_in("schedule")["constant"]())),
        ("warmup", (0, 5)),
        ("name", (None, "one")),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value[0]).__name__,
)
@pytest.mark.parametrize("model", [MLP(), pytest.param(CNN(stages=1), marks=pytest.mark.slow)])
def test_numbers_that_differ_within_a_stack(model: Any, key: str, values: tuple[Any, ...]) -> None:
    size = {"width": 4, "depth": 2, "max_steps": 5} if isinstance(model, CNN) else {}
    runs = [
        replace(Run(**SMALL, act=Tanh()), model=model, seed=3, **size, **{key: value}) for value in values
    ]
    assert_equal_to_lone_runs(runs)


@pytest.mark.parametrize(
    "changes",
    [
        {"batch_size": "full"},
        {"batch_size": "full", "reg": L2(1e-3)},
        {"batch_size": 50},
        {"measure": "gradients"},
        {"measure": "gradients", "norm": BatchNorm()},
        {"measure": "gradients", "model": LSTM(), "data": SEQUENCES, "depth": 1},
        {"dead_every": 4},
        {"dead_every": 4, "model": CNN(), "width": 4, "residual": Rezero()},
        {"input_gradients": 16},
        {"input_gradients": 16, "norm": BatchNorm(), "residual": Rezero()},
        {"pretrain": Autoencoder(epochs=1), "act": Sigmoid()},
        {"pretrain": DenoisingAutoencoder(epochs=1, tied=False), "act": Tanh()},
        {"pretrain": RBM(epochs=1), "act": Sigmoid(), "data": Digits(train_size=128, scale="unit")},
        {"model": MLP(), "depth": 0},
        {"depth": 1, "width": 1},
        {"max_steps": 0},
        {"epochs": 3, "max_steps": None, "eval_every": None},
        {"log_every": 1, "eval_every": 1, "max_steps": 3},
        {"log_every": 100, "eval_every": 3, "clip": ClipByNorm(0.1)},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_what_else_a_run_can_be_asked_for(changes: dict[str, Any]) -> None:
    assert_equal_to_lone_runs(seeds(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"act": Tanh()},
        {"act": Tanh(), "norm": BatchNorm()},
        {"residual": IdentityShortcut(), "norm": LayerNorm(), "act": Tanh()},
        {"model": CNN(stages=2), "width": 4, "act": Tanh()},
        {"model": LSTM(), "data": SEQUENCES, "depth": 1},
        {"reg": Dropout(0.3), "act": Tanh()},
    ],
    ids=["mlp", "batch", "residual", "cnn", "lstm", "dropout"],
)
def test_float32_is_equal_to_four_digits(changes: dict[str, Any]) -> None:
    assert_equal_to_lone_runs(seeds(dtype="float32", **changes), 1e-4, 1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "changes",
    [
        {}, {"norm": BatchNorm()}, {"residual": Fixup()}, {"init": LSUV()}, {"model": CNN(), "width": 4},
        {"model": LSTM(chrono=6), "data": SEQUENCES, "depth": 2}, FRAMES,
        {"pretrain": Autoencoder(epochs=1), "act": Sigmoid()},
    ],
)  # fmt: skip
def test_the_initial_weights_are_the_same_to_the_last_bit(changes: dict[str, Any], dtype: str) -> None:
    runs = seeds(**(changes | {"max_steps": 0, "dtype": dtype}))
    for run, mine in zip(runs, stacked(runs), strict=True):
        lone = train(run)
        pairs = zip(mine.model.state_dict().values(), lone.model.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
        assert mine.gradients["weight_norm"].tolist() == lone.gradients["weight_norm"].tolist()


@pytest.mark.parametrize("size", [32, 50, "full"])
def test_the_batches_are_the_same_in_the_same_order(size: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, seen, call = seeds(batch_size=size), list[tuple[Tensor, Tensor]](), Chain.__call__

    def spy(chain: Chain, inputs: Tensor, targets: Tensor, measurement: Any) -> Any:
        seen.append((inputs.clone(), targets.clone()))
        return call(chain, inputs, targets, measurement)

    monkeypatch.setattr(Chain, "__call__", spy)
    stacked(runs)
    for row, run in enumerate(runs):
        expected = list(islice(_batches(run), len(seen)))
        assert len(seen) == SMALL["max_steps"] + 1
        for (x, y), (inputs, targets) in zip(seen, expected, strict=True):
            assert torch.equal(x[row], inputs)
            assert torch.equal(y[row], targets)


def _batches(run: Run) -> Iterator[tuple[Tensor, Tensor]]:
    data = load(run.data).to(torch.device("cpu"), torch.float64)
    for batch in batches(run, data, Order(run, len(data.train_x))):
        yield batch.inputs, batch.targets


def test_every_run_draws_the_dropout_noise_that_it_draws_alone() -> None:
    rates = (0.2, 0.9, 0.0)
    own, lone = ([SeededDropout(rate, seed, 2) for seed, rate in enumerate(rates)] for _ in range(2))
    x = torch.randn(len(rates), 7, 5, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        found = torch.vmap(StackedDropout(own))(x)
        assert all(torch.equal(a, dropout(part)) for a, dropout, part in zip(found, lone, x, strict=True))
    assert [dropout.calls for dropout in own] == [dropout.calls for dropout in lone]


def test_the_order_of_the_runs_makes_no_difference() -> None:
    runs = seeds(act=Tanh(), reg=L2(1e-3))
    there, back = stacked(runs), stacked(runs[::-1])[::-1]
    for one, other in zip(there, back, strict=True):
        pd.testing.assert_frame_equal(one.gradients, other.gradients, rtol=TOLERANCE, atol=FLOOR)


def test_sixteen_runs_and_one() -> None:
    run = Run(**SMALL, act=Tanh())
    many = [replace(run, seed=seed) for seed in range(16)]
    found = stacked(many)
    for seed in (0, 7, 15):
        assert_alike(found[seed].gradients, train(many[seed]).gradients)
    assert_equal_to_lone_runs(many[:1])
