"""Combinations that make no sense are refused when the run is made, with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from vanishgrad import Run
from vanishgrad.choices.activation import ReLU, Sigmoid, Tanh
from vanishgrad.choices.data import (
    CIFAR10,
    Adding,
    CopyMemory,
    Digits,
    MovingDigits,
    Spirals,
    TemporalOrder,
    Text,
)
from vanishgrad.choices.initialization import LSUV
from vanishgrad.choices.loss import BCE, MSE, CrossEntropy
from vanishgrad.choices.model.conv_lstm import ConvLSTM
from vanishgrad.choices.model.feedforward import CNN, MLP
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN
from vanishgrad.choices.normalization import BatchNorm, InstanceNorm, LayerNorm, WeightNorm
from vanishgrad.choices.pretraining import RBM, Autoencoder, DenoisingAutoencoder
from vanishgrad.choices.residual import HighwayShortcut, IdentityShortcut
from vanishgrad.errors import SettingError

UNIT = Digits(scale="unit")
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model": ConvLSTM(), "data": Adding()}, "model=conv_lstm with data=adding: predicts frames"),
    ({"model": ConvLSTM()}, "model=conv_lstm with data=digits: predicts frames"),
    ({"model": MLP(), "data": MovingDigits()}, "model=mlp with data=moving_digits: answers once"),
    ({"model": MLP(), "data": CopyMemory()}, "model=mlp with data=copy: reads numbers, not symbols"),
    ({"model": MLP(), "data": Text()}, "model=mlp with data=text: reads numbers"),
    ({"model": MLP(), "data": TemporalOrder()}, "model=mlp with data=temporal_order: reads numbers"),
    ({"model": CNN(), "data": Spirals()}, "model=cnn with data=spirals: needs images"),
    ({"model": CNN(), "data": Digits(sequence="rows")}, "model=cnn with data=digits: needs images"),
    ({"model": CNN(), "data": Adding()}, "model=cnn with data=adding: needs images"),
    ({"model": CNN(stages=5), "data": Digits()}, "model.stages=5: halves images of side 8"),
    ({"model": CNN(stages=4), "depth": 9, "norm": InstanceNorm()},
    "norm=instance with model.stages=4: the maps"),
    ({"model": LSTM(), "data": Spirals()}, "model=lstm with data=spirals: needs a sequence"),
    ({"model": RNN(), "data": MovingDigits()}, "model=rnn with data=moving_digits: needs a sequence"),
    ({"model": GRU(), "data": Adding(), "depth": 0}, "depth=0 with model=gru: needs at least one layer"),
    ({"model": LSTM(), "residual": IdentityShortcut()}, "residual=identity with model=lstm: shortcuts"),
    ({"model": LSTM(), "residual": HighwayShortcut()}, "residual=highway with model=lstm: shortcuts"),
    ({"model": LSTM(), "norm": BatchNorm()}, "norm=batch with model=lstm: its statistics would differ"),
    ({"model": RNN(), "norm": WeightNorm()}, "norm=weight with model=rnn"),
    ({"model": ConvLSTM(), "data": MovingDigits(), "norm": LayerNorm()}, "norm=layer with model=conv_lstm"),
    ({"model": RNN(), "init": LSUV()}, "init=lsuv with model=rnn: a recurrent matrix"),
    ({"model": RNN(), "recompute_every": 2}, "recompute_every=2 with model=rnn"),
    ({"model": RNN(), "dead_every": 2}, "dead_every=2 with model=rnn: is for mlp and cnn"),
    ({"model": GRU(), "input_gradients": 64}, "input_gradients=64 with model=gru"),
    ({"input_gradients": 3}, "input_gradients=3: correlations need at least 8 points"),
    ({"model": ConvLSTM(patch=5), "data": MovingDigits()}, "model.patch=5: must divide the frame's side"),
    ({"norm": InstanceNorm()}, "norm=instance: a perceptron's units"),
    ({"pretrain": RBM(), "act": Tanh(), "data": UNIT}, "pretrain=rbm with act=tanh: a binary unit"),
    ({"pretrain": RBM(), "act": Sigmoid()}, "pretrain=rbm with data.scale=standard: its inputs"),
    ({"pretrain": Autoencoder(), "depth": 0}, "pretrain=autoencoder with model=mlp depth=0"),
    ({"pretrain": Autoencoder(), "model": CNN()}, "pretrain=autoencoder with model=cnn"),
    ({"pretrain": DenoisingAutoencoder(), "norm": BatchNorm()},
    "pretrain=denoising_autoencoder with norm=batch"),
    ({"pretrain": Autoencoder(), "residual": IdentityShortcut()}, "norm=none residual=identity: a layer is"),
    ({"model": LSTM(), "data": Adding(), "loss": CrossEntropy()}, "loss=cross_entropy with data=adding: its"),
    ({"model": LSTM(), "data": Adding(), "loss": BCE()}, "loss=bce with data=adding: its targets"),
    ({"model": ConvLSTM(), "data": MovingDigits(), "loss": CrossEntropy()}, "data=moving_digits: its"),
]  # fmt: skip
ALLOWED: list[dict[str, Any]] = [
    {"model": LSTM()},
    {"model": LSTM(), "data": Digits(sequence="pixels"), "norm": LayerNorm()},
    {"model": RNN(recurrent_init="identity"), "act": ReLU(), "data": Adding()},
    {"model": GRU(), "data": CopyMemory(), "depth": 3},
    {"model": LSTM(chrono=20, peepholes=True), "data": TemporalOrder()},
    {"model": RNN(), "data": Text()},
    {"model": ConvLSTM(), "data": MovingDigits()},
    {"model": ConvLSTM(), "data": MovingDigits(), "loss": MSE()},
    {"model": MLP(), "data": Adding()},
    {"model": MLP(), "data": Digits(sequence="rows")},
    {"model": CNN(), "norm": InstanceNorm(), "depth": 3},
    {"model": CNN(), "data": CIFAR10(), "residual": IdentityShortcut(), "norm": BatchNorm(), "depth": 19},
    {"pretrain": RBM(), "act": Sigmoid(), "data": UNIT},
    {"pretrain": Autoencoder(tied=False), "act": Tanh()},
    {"pretrain": DenoisingAutoencoder(), "depth": 1},
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_makes_no_sense_together_is_refused_with_the_reason(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError) as refused:
        Run(**changes)
    told = str(refused.value)
    assert message in told
    assert "\n" not in told
    assert "; " in told or "must" in told or "more often" in told or "no extent" in told, "what to do instead"


@pytest.mark.parametrize("changes", ALLOWED, ids=lambda value: str(value)[:60])
def test_what_makes_sense_together_is_a_run(changes: dict[str, Any]) -> None:
    assert Run(**changes) == Run(**changes)


@pytest.mark.parametrize("model", [RNN(), LSTM(), GRU()])
def test_recurrent_networks_have_one_layer_of_tanh_unless_told_otherwise(model: Any) -> None:
    run = Run(model=model)
    assert (run.depth, run.act) == (1, Tanh())
    assert (Run(model=CNN()).depth, Run(model=CNN()).act) == (5, ReLU())
    assert Run(model=model, depth=5, act=ReLU()).depth == 5
