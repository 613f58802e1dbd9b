"""How many parameters a network has, told before it is built."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from vanishgrad import Run, build
from vanishgrad.choices.data import Adding, Digits, MovingDigits, Text
from vanishgrad.choices.model.conv_lstm import ConvLSTM
from vanishgrad.choices.model.feedforward import CNN
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN
from vanishgrad.choices.normalization import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from vanishgrad.choices.residual import HighwayShortcut, Rezero
from vanishgrad.description import choices_in
from vanishgrad.engine.prepare import parameter_count
from vanishgrad.errors import SettingError

ROWS = Digits(sequence="rows")
MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"model": "mlp"},
    "cnn": {"model": CNN(stages=2)},
    "rnn": {"model": RNN(), "data": ROWS},
    "orthogonal rnn": {"model": RNN(recurrent_init="orthogonal"), "data": ROWS},
    "fused rnn": {"model": RNN(fused=True), "data": ROWS},
    "lstm": {"model": LSTM(), "data": ROWS},
    "chrono lstm": {"model": LSTM(chrono=8), "data": ROWS},
    "peephole lstm": {"model": LSTM(peepholes=True), "data": ROWS},
    "fused lstm": {"model": LSTM(fused=True), "data": ROWS},
    "gru": {"model": GRU(), "data": ROWS},
    "fused gru": {"model": GRU(fused=True), "data": ROWS},
    "adding": {"model": GRU(), "data": Adding(length=5, train_size=64, held_out=16)},
    "text": {"model": LSTM(), "data": Text(length=8)},
    "conv_lstm": {"model": ConvLSTM(kernel=3), "data": MovingDigits(train_size=8, held_out=4)},
    "plain conv_lstm": {
        "model": ConvLSTM(kernel=3, peepholes=False),
        "data": MovingDigits(train_size=8, held_out=4),
    },
}  # fmt: skip


def sensible(**setting: Any) -> Run | None:
    try:
        return Run(**setting)
    except SettingError:
        return None


def settings() -> Iterator[Any]:
    """Every model and cell with every norm and shortcut that it takes, shallow and deep enough for blocks."""
    for (name, model), norm, residual in product(MODELS.items(), choices_in("norm"), choices_in("residual")):
        kinds = choices_in("norm")[norm]
        for depth in (1, 4):
            chosen = GroupNorm(groups=2) if kinds is GroupNorm else kinds()
            run = sensible(**model, norm=chosen, residual=residual, depth=depth, width=4)
            if run is not None:
                yield pytest.param(run, id=f"{name}-{norm}-{residual}-{depth}")


RUNS = list(settings())


def built(run: Run) -> int:
    return sum(parameter.numel() for parameter in build(run).parameters())


def test_every_choice_is_among_them() -> None:
    runs = [one.values[0] for one in RUNS]
    for group in ("model", "norm", "residual"):
        assert {getattr(run, group).name for run in runs} == set(choices_in(group))


@pytest.mark.parametrize("model", MODELS)
def test_the_count_is_that_of_the_network_that_is_built(model: str) -> None:
    runs = [one.values[0] for one in RUNS if one.id.startswith(f"{model}-")]
    assert runs
    for run in runs:
        assert parameter_count(run) == built(run), run


@pytest.mark.parametrize("act", choices_in("act"))
def test_activations_may_have_parameters(act: str) -> None:
    run = Run(act=act, depth=3, width=4)
    slopes = 3 if act == "prelu" else 0  # one per layer
    assert parameter_count(run) == built(run) == 64 * 4 + 4 + 2 * (4 * 4 + 4) + OUTPUT + slopes


OUTPUT = 4 * 10 + 10


def gates(count: int, inputs: int, width: int) -> int:
    """Matrices for the input and the state and a bias, of so many gates."""
    return count * (inputs * width + width * width + width)


BY_HAND = {
    "a linear model": (Run(depth=0, width=4), 64 * 10 + 10),
    "a perceptron": (Run(depth=3, width=4), 64 * 4 + 4 + 2 * (4 * 4 + 4) + OUTPUT),
    "with batch norm": (Run(depth=2, width=4, norm=BatchNorm()), 64 * 4 + 4 + 4 * 4 + 4 + 2 * 2 * 4 + OUTPUT),
    "with layer norm": (Run(depth=2, width=4, norm=LayerNorm()), 64 * 4 + 4 + 4 * 4 + 4 + 2 * 2 * 4 + OUTPUT),
    "with rms norm": (Run(depth=2, width=4, norm=RMSNorm()), 64 * 4 + 4 + 4 * 4 + 4 + 2 * 4 + OUTPUT),
    "with a factor per block": (Run(depth=5, width=4, residual=Rezero()), 64 * 4 + 4 + 4 * 20 + 2 + OUTPUT),
    "a recurrent network": (Run(model=RNN(), data=ROWS, width=4), gates(1, 8, 4) + OUTPUT),
    "two layers of it": (Run(model=RNN(), data=ROWS, width=4, depth=2),
                         gates(1, 8, 4) + gates(1, 4, 4) + OUTPUT),
    "an lstm": (Run(model=LSTM(), data=ROWS, width=4), gates(4, 8, 4) + OUTPUT),
    "with peepholes": (Run(model=LSTM(peepholes=True), data=ROWS, width=4), gates(4, 8, 4) + 3 * 4 + OUTPUT),
}  # fmt: skip


@pytest.mark.parametrize("run, count", BY_HAND.values(), ids=BY_HAND)
def test_the_count_is_that_of_the_formula(run: Run, count: int) -> None:
    assert parameter_count(run) == count


def test_a_gate_of_a_shortcut_has_weights() -> None:
    plain = Run(depth=5, width=4)
    assert parameter_count(replace(plain, residual=HighwayShortcut())) > parameter_count(plain)


def test_what_a_stack_may_vary_changes_no_count() -> None:
    run = Run(depth=3, width=4)
    for other in (
        replace(run, seed=5),
        replace(run, lr=0.7),
        replace(run, init="he"),
        replace(run, clip="agc"),
    ):
        assert parameter_count(other) == built(other) == parameter_count(run)
    assert parameter_count(replace(run, width=5)) != parameter_count(run)
