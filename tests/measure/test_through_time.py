"""Derivatives of recurrent states: against perturbed passes, closed forms and runs that nobody measured."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch import Tensor

from vanishgrad.choices.activation import GELU, Identity, LeakyReLU, ReLU, Softsign
from vanishgrad.choices.data import Adding, MovingDigits, load
from vanishgrad.choices.initialization import Gaussian, Zeros
from vanishgrad.choices.model.build import build
from vanishgrad.choices.model.conv_lstm import ConvLSTM
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN, Recurrent
from vanishgrad.choices.normalization import LayerNorm
from vanishgrad.choices.protocol import Activation, Model
from vanishgrad.choices.regularization import L2, Dropout
from vanishgrad.engine import train
from vanishgrad.engine.plan import Order
from vanishgrad.modules.observer import Unrolled
from vanishgrad.run import Run

SMALL = Run(
    model=LSTM(), depth=2, width=5, batch_size=4, max_steps=2, log_every=1, lr=0.1, dtype="float64",
    data=Adding(length=6, train_size=16, held_out=4), init=Gaussian(1.2, 0.3),
)  # fmt: skip
CELLS: list[Model] = [RNN(), LSTM(), LSTM(peepholes=True), GRU()]


def first_batch(run: Run) -> tuple[Tensor, Tensor]:
    data = load(run.data)
    rows = next(iter(Order(run, len(data.train_x))))
    inputs = data.train_x[rows]
    return inputs.double() if inputs.is_floating_point() else inputs, data.train_y[rows]


class Kept:
    """An observer that keeps the recurrent layers, for autograd to be asked about each of their states."""

    def __init__(self) -> None:
        self.layers: dict[int, Unrolled] = {}

    def module(self, *_: object) -> None:
        return None

    def fork(self, *_: object) -> None:
        return None

    def unrolled(self, layer: Unrolled) -> None:
        self.layers[layer.layer] = layer


@pytest.mark.parametrize("model", CELLS, ids=str)
@pytest.mark.parametrize("norm", [None, LayerNorm()], ids=["plain", "layer norm"])
def test_rows_are_the_gradients_of_the_states_that_later_steps_read(
    model: Model, norm: LayerNorm | None
) -> None:
    run = replace(SMALL, model=model, **({"norm": norm} if norm else {}))
    table = train(run).extra["time_gradients"]
    network, watcher = build(run), Kept()
    assert isinstance(network, Recurrent)
    network.observer = watcher
    inputs, targets = first_batch(run)
    loss = run.criterion(network(inputs), targets)
    at_start = table[table["step"] == 0].set_index(["layer", "t"])
    assert list(at_start.index) == [(layer, t) for layer in (1, 2) for t in range(1, 7)]
    for (layer, t), row in at_start.iterrows():
        states = watcher.layers[layer]
        (gradient,) = torch.autograd.grad(loss, states.hidden[t - 1], retain_graph=True)
        assert row["grad_norm"] == pytest.approx(float(gradient.norm()), rel=1e-8)
        if states.cell:
            (gradient,) = torch.autograd.grad(loss, states.cell[t - 1], retain_graph=True)
            assert row["cell_grad_norm"] == pytest.approx(float(gradient.norm()), rel=1e-8)
        else:
            assert math.isnan(row["cell_grad_norm"])


def test_a_linear_recurrence_hands_back_the_powers_of_its_matrix() -> None:
    run = replace(SMALL, model=RNN(), depth=1, act=Identity(), max_steps=0)
    table = train(run).extra["time_gradients"].set_index("t")["grad_norm"]
    network = build(run)
    recurrent = dict(network.named_parameters())["layer_1.hh_1.weight"].detach()
    output = dict(network.named_parameters())["output.weight"].detach()
    inputs, targets = first_batch(run)
    with torch.no_grad():
        delta = 2 * (network(inputs) - targets) / len(inputs) @ output  # dLoss/dh_T of the squared error
    for t in range(6, 0, -1):
        assert table[t] == pytest.approx(float(delta.norm()), rel=1e-8)
        delta = delta @ recurrent


@pytest.mark.parametrize("bias", [-1.0, 0.0, 1.0, 2.5])
def test_a_zero_weight_lstm_hands_its_first_cell_the_forget_gates_power(bias: float) -> None:
    length = 12
    run = replace(
        SMALL, model=LSTM(forget_bias=bias), depth=1, init=Zeros(), max_steps=1, lr=1e-3,
        data=replace(SMALL.data, length=length),
    )  # fmt: skip
    network, watcher = build(run), Kept()
    assert isinstance(network, Recurrent)
    network.observer = watcher
    inputs, _ = first_batch(run)
    zero = torch.zeros(len(inputs), run.width, dtype=torch.float64)
    first = zero.clone().requires_grad_()
    network.unroll(inputs, [(zero, first)])
    last = watcher.layers[1].cell[-1]
    back = torch.autograd.grad(last.sum(), first, retain_graph=True)[0]
    expected = (1 / (1 + math.exp(-bias))) ** length
    torch.testing.assert_close(back, torch.full_like(back, expected), rtol=1e-14, atol=0)


@pytest.mark.parametrize("model", CELLS, ids=str)
def test_looking_at_every_step_changes_no_weight(model: Model) -> None:
    run = replace(SMALL, model=model, max_steps=7, reg=Dropout(0.2))
    often, seldom = train(run), train(replace(run, log_every=100))
    for one, other in zip(often.model.parameters(), seldom.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_matrices_of_a_layer_have_their_own_rows_and_a_gate_one_delta() -> None:
    run = replace(SMALL, depth=1, reg=L2(0.01))
    rows = train(run).gradients.query("step == 0").set_index("name")
    assert set(rows["layer"]) == {1, 2}
    for gate in "ifco":
        x, h = rows.loc[f"layer_1.x{gate}_1"], rows.loc[f"layer_1.h{gate}_1"]
        assert x["delta_norm"] == h["delta_norm"] > 0
        assert x["act_mean"] == h["act_mean"]
        assert x["bias_grad_norm"] > 0
        assert math.isnan(h["bias_grad_norm"])
    network, watcher = build(run), Kept()
    network.observer = watcher
    inputs, targets = first_batch(run)
    penalty = run.reg.penalty(p for p in network.parameters() if p.ndim == 2)
    assert penalty is not None
    loss = run.criterion(network(inputs), targets) + penalty
    loss.backward()
    for name in ("xf_1", "hf_1"):
        weight = network.get_parameter(f"layer_1.{name}.weight")
        assert weight.grad is not None
        assert rows.loc[f"layer_1.{name}", "grad_norm"] == pytest.approx(float(weight.grad.norm()), rel=1e-8)
    forget = next(gate for gate in watcher.layers[1].gates if gate.name == "forget")
    values = torch.stack(forget.values).detach()
    assert rows.loc["layer_1.xf_1", "act_mean"] == pytest.approx(float(values.mean()), rel=1e-9)


def test_the_delta_of_a_plain_recurrence_is_that_of_its_states_times_the_slope() -> None:
    # dLoss/dz_t = dLoss/dh_t (1 - h_t^2), and the rows have the norm over all time steps
    run = replace(SMALL, model=RNN(), depth=1)
    rows = train(run).gradients.query("step == 0").set_index("name")
    network, watcher = build(run), Kept()
    assert isinstance(network, Recurrent)
    network.observer = watcher
    inputs, targets = first_batch(run)
    loss = run.criterion(network(inputs), targets)
    hidden = watcher.layers[1].hidden
    signals = torch.autograd.grad(loss, hidden)
    deltas = [signal * (1 - h.detach() ** 2) for signal, h in zip(signals, hidden, strict=True)]
    expected = float(torch.stack(deltas).norm())
    assert rows.loc["layer_1.xh_1", "delta_norm"] == pytest.approx(expected, rel=1e-8)
    assert rows.loc["layer_1.hh_1", "delta_norm"] == pytest.approx(expected, rel=1e-8)
    bias = float(torch.stack(deltas).sum((0, 1)).norm())
    assert rows.loc["layer_1.xh_1", "bias_grad_norm"] == pytest.approx(bias, rel=1e-8)


def test_a_gradient_that_overflows_through_time_is_recorded_at_the_step_of_divergence() -> None:
    huge = replace(
        SMALL, model=RNN(), depth=1, act=Identity(), init=Gaussian(1e5), dtype="float32", log_every=5,
        data=Adding(length=12, train_size=16, held_out=4),
    )  # fmt: skip
    result = train(huge)
    assert result.status == "diverged"
    table = result.extra["time_gradients"]
    assert set(table["step"]) == {result.steps}
    assert list(table["t"]) == list(range(1, 13))
    assert not table["grad_norm"].map(math.isfinite).all()


def test_gates_are_counted_near_their_ends() -> None:
    closed = train(replace(SMALL, model=LSTM(forget_bias=-8.0), depth=1, init=Gaussian(0.1), max_steps=0))
    opened = train(replace(SMALL, model=LSTM(forget_bias=8.0), depth=1, init=Gaussian(0.1), max_steps=0))
    for result, near_zero, near_one in ((closed, 1.0, 0.0), (opened, 0.0, 1.0)):
        gates = result.extra["gates"]
        assert set(gates["gate"]) == {"input", "forget", "output"}
        forget = gates[gates["gate"] == "forget"]
        assert list(forget["t"]) == list(range(1, 7))
        assert (forget["near_zero"] == near_zero).all()
        assert (forget["near_one"] == near_one).all()
        others = gates[gates["gate"] != "forget"]
        assert (others[["near_zero", "near_one"]] == 0).all(axis=None)
        assert others["mean"].between(0.3, 0.7).all()


def test_a_gru_has_two_gates_and_a_plain_network_none() -> None:
    assert set(train(replace(SMALL, model=GRU())).extra["gates"]["gate"]) == {"reset", "update"}
    assert "gates" not in train(replace(SMALL, model=RNN())).extra


def test_a_forecaster_goes_on_where_the_encoder_ends() -> None:
    run = Run(
        model=ConvLSTM(kernel=3, patch=4), width=3, max_steps=0, batch_size=2,
        data=MovingDigits(given=3, predicted=2, train_size=4, held_out=2),
    )  # fmt: skip
    table = train(run).extra["time_gradients"]
    assert list(zip(table["layer"], table["t"], strict=True)) == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5)]
    assert (table[["grad_norm", "cell_grad_norm"]].iloc[:-1] > 0).all(axis=None)


def test_gradients_alone_leave_no_table_of_states() -> None:
    assert train(replace(SMALL, measure="gradients")).extra == {}


def test_a_run_folder_holds_the_same_tables(tmp_path) -> None:  # type: ignore[no-untyped-def]
    kept, written = train(SMALL), train(SMALL, tmp_path / "run")
    for name, table in kept.extra.items():
        pd.testing.assert_frame_equal(written.extra[name], table, rtol=1e-8)
        assert (tmp_path / "run" / f"{name}.csv").exists()


@pytest.mark.parametrize("act", [LeakyReLU(0.2), GELU(), ReLU(), Softsign()], ids=str)
@pytest.mark.parametrize("model", CELLS, ids=str)
def test_statistics_of_a_candidate_are_those_of_its_activation(model: Model, act: Activation) -> None:
    run = replace(SMALL, model=model, depth=1, act=act, max_steps=0)
    rows = train(run).gradients.set_index("name")
    network, watcher = build(run), Kept()
    network.observer = watcher
    network(first_batch(run)[0])
    gate = watcher.layers[1].gates[0 if isinstance(model, RNN) else -1]
    assert gate.inputs is not None
    x = torch.stack(gate.inputs).detach().flatten(0, 1).requires_grad_()
    y = act.module()(x)
    torch.testing.assert_close(y.detach(), torch.stack(gate.values).detach().flatten(0, 1))
    (slope,) = torch.autograd.grad(y.sum(), x)
    line = torch.linspace(-12, 12, 100_001, dtype=torch.float64, requires_grad=True)
    largest = float(torch.autograd.grad(act.module()(line).sum(), line)[0].abs().max())
    name = {RNN: "xh_1", LSTM: "xc_1", GRU: "xn_1"}[type(model)]
    row = rows.loc[f"layer_1.{name}"]
    assert row["saturation"] == pytest.approx(float((slope.abs() < 0.05 * largest).double().mean()))
    assert row["dead_fraction"] == pytest.approx(float((slope == 0).all(0).double().mean()))
    assert row["act_std"] == pytest.approx(float(y.detach().std(correction=0)), rel=1e-8)
