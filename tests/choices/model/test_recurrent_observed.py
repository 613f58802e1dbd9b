"""What a recurrent network shows of itself, checked against what it does."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from vanishgrad import Run, build
from vanishgrad.choices.activation import Identity, PReLU
from vanishgrad.choices.data import Adding, CopyMemory
from vanishgrad.choices.initialization import Zeros
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN, Recurrent
from vanishgrad.choices.normalization import LayerNorm
from vanishgrad.choices.protocol import Model
from vanishgrad.choices.regularization import Dropout
from vanishgrad.modules.observer import LinearOutput, Unrolled

BASE = Run(model=LSTM(), data=CopyMemory(length=3, memory=2), width=5, depth=2, dtype="float64", seed=3)
CELLS = [RNN(), LSTM(), LSTM(peepholes=True), GRU()]
NORMS = [BASE.norm, LayerNorm()]
TIMES = range(7)


class Witness:
    """Keeps all that it is shown."""

    def __init__(self) -> None:
        self.layers: list[Unrolled] = []
        self.modules: list[tuple[nn.Module, Tensor, Tensor]] = []

    def module(self, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        self.modules.append((module, inputs, output))

    def fork(self, block: nn.Module, direct: Tensor, into: Tensor) -> None:
        raise AssertionError("a recurrent network has no blocks")

    def unrolled(self, layer: Unrolled) -> None:
        self.layers.append(layer)


def network(run: Run) -> Recurrent:
    """With large random peepholes, gains and biases in place of zeros and ones."""
    model, generator = build(run), torch.Generator().manual_seed(1)
    assert isinstance(model, Recurrent)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(
                torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype), alpha=0.3
            )
    return model


def numbers() -> Tensor:
    return torch.randint(10, (4, 7), generator=torch.Generator().manual_seed(0))


def loss_of(outputs: Tensor) -> Tensor:
    weight = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return (outputs * weight).sum() + outputs.square().sum()


def observed(model: Recurrent, x: Tensor) -> tuple[Witness, Tensor]:
    model.observer = witness = Witness()
    loss = loss_of(model(x))
    model.observer = None
    return witness, loss


@pytest.mark.parametrize(
    "run", [BASE, replace(BASE, reg=Dropout(), norm=LayerNorm()), replace(BASE, data=Adding())]
)
@pytest.mark.parametrize("model", CELLS, ids=str)
def test_being_observed_changes_no_number(model: Model, run: Run) -> None:
    x = torch.rand(4, 9, 2, dtype=torch.float64) if isinstance(run.data, Adding) else numbers()
    plain, watched = (network(replace(run, model=model)) for _ in range(2))
    loss, (_, same) = loss_of(plain(x)), observed(watched, x)
    assert torch.equal(loss, same)
    loss.backward()
    same.backward()
    for one, other in zip(plain.parameters(), watched.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


@pytest.mark.parametrize("model", CELLS, ids=str)
def test_every_layer_shows_all_its_time_steps_from_the_input_up(model: Model) -> None:
    ours = network(replace(BASE, model=model, depth=3))
    witness, _ = observed(ours, numbers())
    assert [(layer.layer, layer.first) for layer in witness.layers] == [(1, 1), (2, 1), (3, 1)]
    for layer in witness.layers:
        assert [h.shape for h in layer.hidden] == [(4, 5)] * 7
        assert [c.shape for c in layer.cell] == [(4, 5)] * (7 if isinstance(model, LSTM) else 0)
        assert all([value.shape for value in gate.values] == [(4, 5)] * 7 for gate in layer.gates)
    ((module, hidden, outputs),) = witness.modules
    assert module is ours.output
    assert torch.equal(hidden, torch.stack(witness.layers[-1].hidden))
    assert torch.equal(module(hidden), outputs)


@pytest.mark.parametrize("model", CELLS, ids=str)
def test_shown_are_the_matrices_and_the_activations_and_all_of_them_belong_to_a_layer(model: Model) -> None:
    ours = network(replace(BASE, model=model, norm=LayerNorm(), reg=Dropout(), act=PReLU()))
    kinds = (nn.Linear, nn.Sigmoid, nn.PReLU)
    assert ours.shown() == {module for module in ours.modules() if isinstance(module, kinds)}
    linear = {name: module for name, module in ours.named_modules() if isinstance(module, nn.Linear)}
    expected = {name: 3 if name == "output" else int(name[-1]) for name in linear}
    assert ours.layer_of == expected
    witness, _ = observed(ours, numbers())
    for layer in witness.layers:
        inside = {ours.get_submodule(name) for name, number in ours.layer_of.items() if number == layer.layer}
        assert {m for part in layer.linear for m in part.matrices} == inside
        assert {m for gate in layer.gates for m in gate.matrices} == inside


def inputs_of(witness: Witness, layer: int) -> tuple[list[Tensor], list[Tensor]]:
    """(x_t, h_(t-1)) for all t of a layer."""
    below = nn.functional.one_hot(numbers().t(), 10).double().unbind(0)
    hidden = witness.layers[layer].hidden
    return list(below if layer == 0 else witness.layers[layer - 1].hidden), [
        torch.zeros_like(hidden[0]),
        *hidden,
    ]


@pytest.mark.parametrize("model", [RNN(), LSTM(), GRU()], ids=lambda model: model.name)
def test_gates_are_their_activation_of_what_their_matrices_give(model: Model) -> None:
    witness, _ = observed(network(replace(BASE, model=model)), numbers())
    for index, layer in enumerate(witness.layers):
        x, h = inputs_of(witness, index)
        named = {gate.name: gate for gate in layer.gates}
        for gate in layer.gates:
            from_x, from_h = gate.matrices
            for t in TIMES:
                resets = isinstance(model, GRU) and gate.name == "candidate"
                factor = named["reset"].values[t] if resets else 1.0
                expected = gate.activation(from_x(x[t]) + factor * from_h(h[t]))
                torch.testing.assert_close(gate.values[t], expected)


def test_gates_do_what_their_names_say() -> None:
    witness, _ = observed(network(BASE), numbers())
    layer = witness.layers[0]
    i, f, o, g = (torch.stack(gate.values) for gate in layer.gates)
    assert [gate.name for gate in layer.gates] == ["input", "forget", "output", "candidate"]
    c, h = torch.stack(layer.cell), torch.stack(layer.hidden)
    torch.testing.assert_close(c[1:], f[1:] * c[:-1] + i[1:] * g[1:])
    torch.testing.assert_close(h, o * torch.tanh(c))
    witness, _ = observed(network(replace(BASE, model=GRU())), numbers())
    assert [gate.name for gate in witness.layers[0].gates] == ["reset", "update", "candidate"]
    _, z, n = (torch.stack(gate.values) for gate in witness.layers[0].gates)
    h = torch.stack(witness.layers[0].hidden)
    torch.testing.assert_close(h[1:], (1 - z[1:]) * n[1:] + z[1:] * h[:-1])


def deltas(part: LinearOutput, loss: Tensor) -> list[Tensor]:
    """dLoss/dz over time, `(time, batch, width)`, of each matrix of a linear output."""
    found = torch.autograd.grad(loss, part.outputs, retain_graph=True)
    over_time = found[0] if found[0].dim() == 3 else torch.stack(found)
    return list(over_time.chunk(len(part.matrices), part.axis))


@pytest.mark.parametrize("norm", NORMS, ids=lambda norm: norm.name)
@pytest.mark.parametrize("model", CELLS, ids=str)
def test_gradients_of_linear_outputs_make_up_those_of_their_weights(model: Model, norm: LayerNorm) -> None:
    """dLoss/dW = sum over t of dLoss/dz_t times what W read at t; without normalization db = sum of dz."""
    ours = network(replace(BASE, model=model, norm=norm))
    witness, loss = observed(ours, numbers())
    loss.backward(retain_graph=True)
    for index, layer in enumerate(witness.layers):
        x, h = inputs_of(witness, index)
        for part in layer.linear:
            for module, delta in zip(part.matrices, deltas(part, loss), strict=True):
                name = next(path for path, found in ours.named_modules() if found is module).split(".")[1]
                read = x if name.startswith("x") else h
                expected = sum(delta[t].t() @ read[t] for t in TIMES)
                torch.testing.assert_close(module.weight.grad, expected, rtol=1e-9, atol=1e-11)
                if module.bias is not None and not isinstance(norm, LayerNorm):
                    torch.testing.assert_close(module.bias.grad, delta.sum((0, 1)), rtol=1e-9, atol=1e-11)


# (whose output is disturbed, the gate that scales the disturbance on its way into h or c)
WAYS = [
    (RNN(), "act", None, "hidden"),
    (GRU(), "candidate", "1 - update", "hidden"),
    (LSTM(), "cell_act", "output", "hidden"),
    (LSTM(peepholes=True), "cell_act", "output", "hidden"),
    (LSTM(), "candidate", "input", "cell"),
    (LSTM(peepholes=True), "candidate", "input", "cell"),
]


@pytest.mark.parametrize("norm", NORMS, ids=lambda norm: norm.name)
@pytest.mark.parametrize("model, source, gate, target", WAYS, ids=str)
@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize("t", [0, 4])
def test_dloss_dh_and_dloss_dc_are_full_derivatives(
    model: Model, source: str, gate: str | None, target: str, norm: LayerNorm, layer: int, t: int
) -> None:
    """Central differences: h_t (or c_t) is moved, and the rest of the network follows."""
    ours = network(replace(BASE, model=model, norm=norm))
    witness, loss = observed(ours, numbers())
    seen = witness.layers[layer - 1]
    (gradient,) = torch.autograd.grad(loss, [getattr(seen, target)[t]])
    direction = torch.randn(4, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    values = {found.name: found.values[t].detach() for found in seen.gates}
    scale = 1.0 if gate is None else 1 - values["update"] if gate == "1 - update" else values[gate]
    predicted = float((gradient * scale * direction).sum())

    def moved(epsilon: float) -> float:
        calls = iter(range(100))

        def move(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            return output + epsilon * direction if next(calls) == t else output

        handle = ours.get_submodule(f"layer_{layer}.{source}").register_forward_hook(move)
        with torch.no_grad():
            value = float(loss_of(ours(numbers())))
        handle.remove()
        return value

    epsilon = 1e-5
    measured = (moved(epsilon) - moved(-epsilon)) / (2 * epsilon)
    assert measured == pytest.approx(predicted, rel=1e-5, abs=1e-8)
    assert abs(predicted) > 1e-4


# Closed forms


@pytest.mark.parametrize("forget_bias", [1.0, -0.5, 4.0])
def test_a_zero_weight_lstm_passes_exactly_the_forget_gate_to_the_power_t_back(forget_bias: float) -> None:
    run = replace(BASE, model=LSTM(forget_bias=forget_bias), data=Adding(length=20), init=Zeros(), depth=1)
    model = build(run)
    h = torch.zeros(3, 5, dtype=torch.float64)
    c = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    x = torch.rand(3, 20, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    _, ((_, last),) = model.unroll(x, [(h, c)])
    (gradient,) = torch.autograd.grad(last.sum(), c)
    gate, expected = torch.sigmoid(torch.tensor(forget_bias, dtype=torch.float64)), 1.0
    for _ in range(20):
        expected = expected * gate
    assert torch.equal(gradient, expected.expand(3, 5))
    assert float(expected) == pytest.approx((1 / (1 + math.exp(-forget_bias))) ** 20, rel=1e-13)


def test_an_orthogonal_identity_rnn_keeps_the_norm_of_gradients_through_100_steps() -> None:
    run = replace(BASE, model=RNN("orthogonal"), act=Identity(), data=Adding(length=100), depth=1, width=16)
    model = build(run)
    model.observer = witness = Witness()
    x = torch.rand(8, 100, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    loss, hidden = model(x).square().sum(), witness.layers[0].hidden
    gradients = torch.autograd.grad(loss, hidden)
    norms = torch.stack([gradient.norm() for gradient in gradients])
    assert norms[-1] > 0
    torch.testing.assert_close(norms, norms[-1].expand(100), rtol=1e-13, atol=0)
    weight = model.get_parameter("layer_1.hh_1.weight").detach()
    expected = gradients[-1] @ torch.linalg.matrix_power(weight, 99)
    torch.testing.assert_close(gradients[0], expected, rtol=1e-11, atol=1e-13)
