"""How recurrent networks start, and how many parameters they have."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vanishgrad import Run, build
from vanishgrad.choices.activation import PReLU, ReLU
from vanishgrad.choices.data import Adding, CopyMemory
from vanishgrad.choices.initialization import Default, Gaussian, Orthogonal, Xavier, Zeros
from vanishgrad.choices.model.build import blank, initialize_
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN
from vanishgrad.choices.normalization import LayerNorm
from vanishgrad.choices.protocol import Initialization, Model
from vanishgrad.errors import SettingError

BASE = Run(model=LSTM(), data=Adding(), width=24, depth=2, seed=3)
GATES = {"rnn": "h", "lstm": "ifoc", "gru": "rzn"}
INITS = [Default(), Xavier(), Orthogonal(), Gaussian(1.0, 0.5), Zeros()]


def starts(run: Run) -> dict[str, Tensor]:
    """Every parameter by its own name and its module's, whatever layer that is in."""
    return {".".join(name.split(".")[-2:]): value.detach() for name, value in build(run).named_parameters()}


# Biases of the gates


@pytest.mark.parametrize("norm", [BASE.norm, LayerNorm()], ids=lambda norm: norm.name)
@pytest.mark.parametrize("peepholes", [False, True])
@pytest.mark.parametrize("init", INITS, ids=lambda init: init.name)
@pytest.mark.parametrize("forget_bias", [1.0, 0.0, -2.5])
def test_all_biases_that_reach_the_forget_gate_add_up_to_forget_bias(
    forget_bias: float, init: Initialization, peepholes: bool, norm: LayerNorm
) -> None:
    """At h = 0, c = 0 and x = 0 the gate is sigmoid of its bias alone, whatever adds to it."""
    model = build(replace(BASE, model=LSTM(forget_bias, peepholes=peepholes), init=init, norm=norm, depth=1))
    gates: list[Tensor] = []
    model.get_submodule("layer_1.gate").register_forward_hook(lambda m, i, o: gates.append(i[0]))
    model(torch.zeros(2, 1, 2))
    assert torch.equal(gates[1], torch.full((2, 24), forget_bias))
    linears = model.get_submodule("layer_1").named_children()
    assert [name for name, part in linears if name[1] == "f" and getattr(part, "bias", None) is not None] == [
        "xf_1"
    ]


def test_other_gates_start_as_the_initialization_says() -> None:
    values = starts(replace(BASE, init=Xavier()))
    assert not any(values[f"x{gate}_{layer}.bias"].any() for gate in "ioc" for layer in (1, 2))
    assert all((values[f"xf_{layer}.bias"] == 1).all() for layer in (1, 2))


def test_chrono_biases_are_logarithms_of_uniform_times() -> None:
    run = replace(BASE, model=LSTM(chrono=100), width=600, depth=2)
    values = starts(run)
    for layer in (1, 2):
        forget = values[f"xf_{layer}.bias"]
        times = forget.double().exp().sort().values
        assert 1 <= times[0] <= times[-1] <= 99.001
        uniform = 1 + 98 * (torch.arange(600, dtype=torch.float64) + 0.5) / 600
        assert float((times - uniform).abs().max()) / 98 < 1.63 / math.sqrt(600)  # Kolmogorov-Smirnov, 1 %
        assert torch.equal(values[f"xi_{layer}.bias"], -forget)
        assert torch.equal(values[f"xf_{layer}.bias"], starts(run)[f"xf_{layer}.bias"])
    assert not torch.equal(values["xf_1.bias"], values["xf_2.bias"])
    assert not torch.equal(values["xf_1.bias"], starts(replace(run, seed=4))["xf_1.bias"])


def test_chrono_changes_no_other_value() -> None:
    plain, chrono = starts(BASE), starts(replace(BASE, model=LSTM(chrono=50)))
    changed = {name for name in plain if not torch.equal(plain[name], chrono[name])}
    assert changed == {f"x{gate}_{layer}.bias" for gate in "if" for layer in (1, 2)}


# Weights


@pytest.mark.parametrize("model", [RNN(), LSTM(), GRU()], ids=lambda model: model.name)
def test_default_is_torch_s_own_for_recurrent_layers(model: Model) -> None:
    """Everything uniform in +-1/sqrt(width), whatever it reads; the output layer as any linear layer."""
    values = starts(replace(BASE, model=model, width=400))
    for name, value in values.items():
        if name.startswith("xf") and name.endswith("bias"):
            continue
        bound = 1 / 20
        assert float(value.abs().max()) <= bound, name
        if len(value) > 1:
            assert float(value.abs().max()) > 0.98 * bound, name
            assert float(value.std()) == pytest.approx(bound / math.sqrt(3), rel=0.1), name


@pytest.mark.parametrize("model", [RNN(), LSTM(), GRU()], ids=lambda model: model.name)
def test_matrices_of_gates_and_layers_differ(model: Model) -> None:
    for init in (Default(), Xavier()):
        values = starts(replace(BASE, model=model, init=init))
        square = [value for value in values.values() if value.shape == (24, 24)]
        assert len({tuple(value.flatten().tolist()) for value in square}) == 3 * len(GATES[model.name])


@pytest.mark.parametrize("init", INITS, ids=lambda init: init.name)
@pytest.mark.parametrize("model", [RNN("orthogonal"), LSTM(recurrent_init="orthogonal"), GRU("orthogonal")])
def test_orthogonal_recurrent_weights(model: Model, init: Initialization) -> None:
    values, plain = (
        starts(replace(BASE, model=model, init=init)),
        starts(replace(BASE, model=type(model)(), init=init)),
    )
    for name, value in values.items():
        if name.startswith("h") and name.endswith("weight"):
            torch.testing.assert_close(value @ value.t(), torch.eye(24), rtol=0, atol=1e-5)
        else:
            assert torch.equal(value, plain[name]), name
    recurrent = [value for name, value in values.items() if name.startswith("h") and name.endswith("weight")]
    assert len({tuple(value.flatten().tolist()) for value in recurrent}) == 2 * len(GATES[model.name])


def test_an_identity_rnn_with_relu_holds_what_it_has() -> None:
    """The IRNN of Le et al. (2015): without input, positive hidden values stay as they are."""
    model = build(replace(BASE, model=RNN("identity"), act=ReLU(), init=Xavier()))
    assert all(torch.equal(model.get_parameter(f"layer_{k}.hh_{k}.weight"), torch.eye(24)) for k in (1, 2))
    h = torch.rand(3, 24, generator=torch.Generator().manual_seed(0))
    _, (first, _) = model.unroll(torch.zeros(3, 50, 2), [(h,), (h,)])
    assert torch.equal(first[0], h)


@pytest.mark.parametrize(
    "twin",
    [
        replace(BASE, model=LSTM(peepholes=True)),
        replace(BASE, norm=LayerNorm()),
        replace(BASE, act=PReLU()),
        replace(BASE, depth=3),
    ],
    ids=["peepholes", "layer norm", "prelu", "deeper"],
)
@pytest.mark.parametrize("init", INITS[:2], ids=lambda init: init.name)
def test_twins_start_with_the_same_values(twin: Run, init: Initialization) -> None:
    plain, treated = starts(replace(BASE, init=init)), starts(replace(twin, init=init))
    assert plain.keys() < treated.keys()
    assert all(torch.equal(value, treated[name]) for name, value in plain.items())


def test_peepholes_change_nothing_at_the_start() -> None:
    x = torch.rand(3, 20, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(build(replace(BASE, model=LSTM(peepholes=True)))(x), build(BASE)(x))


@pytest.mark.parametrize("model", [RNN(), LSTM(peepholes=True), LSTM(chrono=10), GRU()], ids=str)
@pytest.mark.parametrize("init", INITS, ids=lambda init: init.name)
def test_no_parameter_is_left_without_a_value(model: Model, init: Initialization) -> None:
    run = replace(BASE, model=model, init=init, norm=LayerNorm(), act=PReLU())
    network = blank(run)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(torch.nan)
    before = torch.get_rng_state()
    initialize_(network, run)
    assert all(parameter.isfinite().all() for parameter in network.parameters())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("model", [LSTM(), RNN(), GRU()], ids=lambda model: model.name)
def test_layer_norm_of_one_unit_is_refused(model: Model) -> None:
    with pytest.raises(SettingError, match="width=1"):
        build(replace(BASE, model=model, norm=LayerNorm(), width=1))


# Counts


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("data, features, outputs", [(Adding(), 2, 1), (CopyMemory(), 10, 9)])
@pytest.mark.parametrize(
    "model, gates, biases, peepholes, gains",
    [
        (RNN(), 1, 1, 0, 1),
        (LSTM(), 4, 4, 0, 10),  # of 4 sums from x, of 4 from h, and gain and bias of the cell
        (LSTM(peepholes=True), 4, 4, 3, 10),
        (GRU(), 3, 4, 0, 6),
    ],
    ids=["rnn", "lstm", "peepholes", "gru"],
)
def test_parameters_are_as_many_as_the_formula_says(
    model: Model,
    gates: int,
    biases: int,
    peepholes: int,
    gains: int,
    data: Adding,
    features: int,
    outputs: int,
    depth: int,
) -> None:
    n, first = 24, (24 + features) * 24 * gates
    expected = first + (depth - 1) * 2 * n * n * gates + depth * (biases + peepholes) * n + (n + 1) * outputs
    run = replace(BASE, model=model, data=data, depth=depth)
    assert sum(parameter.numel() for parameter in build(run).parameters()) == expected
    normed = sum(parameter.numel() for parameter in build(replace(run, norm=LayerNorm())).parameters())
    assert normed == expected + depth * gains * n
