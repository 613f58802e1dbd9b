"""Recurrent networks against torch's own and against naive twins, with all their gradients."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from vanishgrad import Run, build
from vanishgrad.choices.activation import PReLU, ReLU, Tanh
from vanishgrad.choices.data import CIFAR10, Adding, CopyMemory, Digits
from vanishgrad.choices.model.recurrent import GRU, LSTM, RNN, Recurrent
from vanishgrad.choices.normalization import LayerNorm
from vanishgrad.choices.protocol import Activation, Model
from vanishgrad.choices.regularization import Dropout

BASE = Run(model=LSTM(), data=Adding(length=9), width=5, depth=1, dtype="float64", seed=3)
EVERY_STEP = replace(BASE, data=CopyMemory(length=3, memory=2))  # 7 steps of 10 symbols, 9 outputs at each
TORCH = {"rnn": (nn.RNN, "h"), "lstm": (nn.LSTM, "ifco"), "gru": (nn.GRU, "rzn")}  # gates in torch's order
CELLS = [RNN(), LSTM(), LSTM(peepholes=True), GRU()]


def network(run: Run) -> Recurrent:
    model = build(run)
    assert isinstance(model, Recurrent)
    return model


def disturbed(run: Run) -> Recurrent:
    """A network whose every parameter has a value of its own: no zeros, no ones, and no small weights."""
    model, generator = network(run), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(
                torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype), alpha=0.3
            )
    return model


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def numbers(*shape: int) -> Tensor:
    return torch.randint(10, shape, generator=torch.Generator().manual_seed(0))


def names(model: Recurrent, layer: int, side: str, order: str) -> list[str]:
    return [f"layer_{layer}.{side}{gate}_{layer}" for gate in order]


def torch_twin(model: Recurrent, run: Run, features: int) -> nn.Module:
    """torch's own network with the same weights; the second of its two biases is 0 but for the GRU's n."""
    kind, order = TORCH[run.model.name]
    twin = kind(features, run.width, run.depth, dtype=torch.float64)
    with torch.no_grad():
        for layer in range(1, run.depth + 1):
            for side, other in (("x", "ih"), ("h", "hh")):
                modules = [model.get_submodule(name) for name in names(model, layer, side, order)]
                weight = torch.cat([module.weight for module in modules])
                none = torch.zeros(run.width, dtype=torch.float64)
                bias = torch.cat([none if module.bias is None else module.bias for module in modules])
                getattr(twin, f"weight_{other}_l{layer - 1}").copy_(weight)
                getattr(twin, f"bias_{other}_l{layer - 1}").copy_(bias)
    return twin


def compare_gradients(model: Recurrent, twin: nn.Module, run: Run) -> None:
    order = TORCH[run.model.name][1]
    for layer in range(1, run.depth + 1):
        for side, other in (("x", "ih"), ("h", "hh")):
            weights = getattr(twin, f"weight_{other}_l{layer - 1}").grad.split(run.width)
            biases = getattr(twin, f"bias_{other}_l{layer - 1}").grad.split(run.width)
            for name, weight, bias in zip(names(model, layer, side, order), weights, biases, strict=True):
                module = model.get_submodule(name)
                torch.testing.assert_close(module.weight.grad, weight, rtol=1e-10, atol=1e-12)
                if module.bias is not None:
                    torch.testing.assert_close(module.bias.grad, bias, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("model", [RNN(), LSTM(), GRU()], ids=lambda model: model.name)
def test_outputs_state_and_all_gradients_are_those_of_torch(model: Model, depth: int) -> None:
    run = replace(BASE, model=model, depth=depth)
    ours = disturbed(run)
    theirs = torch_twin(ours, run, 2)
    x = draw(4, 9, 2)
    outputs, state = ours.unroll(x)
    hidden, last = theirs(x.transpose(0, 1))
    torch.testing.assert_close(outputs, ours.output(hidden[-1]), rtol=1e-12, atol=1e-12)
    for part, given in enumerate(last if isinstance(last, tuple) else [last]):
        torch.testing.assert_close(torch.stack([layer[part] for layer in state]), given)
    outputs.square().sum().backward()
    ours.output(hidden[-1]).square().sum().backward()
    compare_gradients(ours, theirs, run)


def test_the_relu_network_is_torch_s() -> None:
    ours = disturbed(replace(BASE, model=RNN(), act=ReLU()))
    theirs = nn.RNN(2, 5, nonlinearity="relu", dtype=torch.float64)
    theirs.load_state_dict(torch_twin(ours, replace(BASE, model=RNN()), 2).state_dict())
    x = draw(4, 9, 2)
    torch.testing.assert_close(ours(x), ours.output(theirs(x.transpose(0, 1))[0][-1]))


@pytest.mark.parametrize("model", [RNN(), LSTM(), GRU()], ids=lambda model: model.name)
def test_symbols_and_outputs_at_every_step_are_those_of_torch_on_one_hot_vectors(model: Model) -> None:
    run = replace(EVERY_STEP, model=model, depth=2)
    ours, x = disturbed(run), numbers(4, 7)
    theirs = torch_twin(ours, run, 10)
    hidden, _ = theirs(nn.functional.one_hot(x.t(), 10).double())
    outputs = ours(x)
    assert outputs.shape == (4, 7, 9)
    torch.testing.assert_close(outputs, ours.output(hidden).transpose(0, 1))
    weight = draw(4, 7, 9, seed=1)
    (outputs * weight).sum().backward()
    (ours.output(hidden).transpose(0, 1) * weight).sum().backward()
    compare_gradients(ours, theirs, run)


@pytest.mark.parametrize("norm", [BASE.norm, LayerNorm()], ids=lambda norm: norm.name)
@pytest.mark.parametrize("model", CELLS, ids=str)
def test_selecting_columns_gives_the_very_numbers_of_one_hot_products(model: Model, norm: LayerNorm) -> None:
    ours, x = disturbed(replace(EVERY_STEP, model=model, norm=norm)), numbers(4, 7)
    assert torch.equal(ours(x), ours(nn.functional.one_hot(x, 10).double()))


# Naive twins: one gate, one time step and one formula at a time.


def layer_norm(z: Tensor) -> Tensor:
    mean = z.sum(1, keepdim=True) / z.shape[1]
    return (z - mean) / ((z - mean).square().sum(1, keepdim=True) / z.shape[1] + 1e-5).sqrt()


def together(zs: list[Tensor], gain: Tensor) -> list[Tensor]:
    return list((layer_norm(torch.cat(zs, 1)) * gain).chunk(len(zs), 1))


def naive_rnn(model: Recurrent, x: Tensor) -> Tensor:
    layer = model.layer_1
    h = torch.zeros(len(x), 5, dtype=torch.float64)
    for x_t in x.unbind(1):
        z = x_t @ layer.xh_1.weight.t() + h @ layer.hh_1.weight.t()
        h = torch.tanh(layer_norm(z) * layer.norm.weight + layer.xh_1.bias)
    return model.output(h)


def naive_gru(model: Recurrent, x: Tensor) -> Tensor:
    p = model.layer_1
    h = torch.zeros(len(x), 5, dtype=torch.float64)
    for x_t in x.unbind(1):
        r_x, z_x = together([x_t @ p.xr_1.weight.t(), x_t @ p.xz_1.weight.t()], p.norms_x.gates.weight)
        r_h, z_h = together([h @ p.hr_1.weight.t(), h @ p.hz_1.weight.t()], p.norms_h.gates.weight)
        r = 1 / (1 + torch.exp(-(r_x + r_h + p.xr_1.bias)))
        z = 1 / (1 + torch.exp(-(z_x + z_h + p.xz_1.bias)))
        n_x = layer_norm(x_t @ p.xn_1.weight.t()) * p.norms_x.candidate.weight + p.xn_1.bias
        n_h = layer_norm(h @ p.hn_1.weight.t()) * p.norms_h.candidate.weight + p.hn_1.bias
        h = (1 - z) * torch.tanh(n_x + r * n_h) + z * h
    return model.output(h)


def naive_lstm(model: Recurrent, x: Tensor) -> Tensor:
    p = model.layer_1
    from_x, from_h = [p.xi_1, p.xf_1, p.xo_1, p.xc_1], [p.hi_1, p.hf_1, p.ho_1, p.hc_1]
    h = c = torch.zeros(len(x), 5, dtype=torch.float64)
    for x_t in x.unbind(1):
        z_x, z_h = [x_t @ m.weight.t() for m in from_x], [h @ m.weight.t() for m in from_h]
        if p.norm_x is not None:
            z_x, z_h = together(z_x, p.norm_x.weight), together(z_h, p.norm_h.weight)
        z_i, z_f, z_o, z_c = (a + b + m.bias for a, b, m in zip(z_x, z_h, from_x, strict=True))
        if p.peepholes is not None:
            z_i, z_f = z_i + p.peepholes.input * c, z_f + p.peepholes.forget * c
        c = c / (1 + torch.exp(-z_f)) + torch.tanh(z_c) / (1 + torch.exp(-z_i))
        if p.peepholes is not None:
            z_o = z_o + p.peepholes.output * c
        out = c if p.norm_cell is None else layer_norm(c) * p.norm_cell.weight + p.norm_cell.bias
        h = torch.tanh(out) / (1 + torch.exp(-z_o))
    return model.output(h)


NAIVE = [
    (replace(BASE, model=RNN(), norm=LayerNorm()), naive_rnn),
    (replace(BASE, model=GRU(), norm=LayerNorm()), naive_gru),
    (replace(BASE, norm=LayerNorm()), naive_lstm),
    (replace(BASE, model=LSTM(peepholes=True)), naive_lstm),
    (replace(BASE, model=LSTM(peepholes=True), norm=LayerNorm()), naive_lstm),
]


@pytest.mark.parametrize("run, naive", NAIVE, ids=["rnn", "gru", "lstm", "peepholes", "both"])
def test_peepholes_and_layer_norm_are_their_formulas(
    run: Run, naive: Callable[[Recurrent, Tensor], Tensor]
) -> None:
    model, x = disturbed(run), draw(4, 9, 2)
    outputs, twins = model(x), naive(model, x)
    torch.testing.assert_close(outputs, twins, rtol=1e-10, atol=1e-12)
    parameters = list(model.parameters())
    found = torch.autograd.grad(outputs.square().sum(), parameters)
    expected = torch.autograd.grad(twins.square().sum(), parameters)
    for one, other in zip(found, expected, strict=True):
        assert other.any()
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


# Over time


@pytest.mark.parametrize("run", [BASE, EVERY_STEP], ids=["last step", "every step"])
@pytest.mark.parametrize("model", CELLS, ids=str)
def test_two_halves_with_the_state_carried_over_are_one_whole(model: Model, run: Run) -> None:
    ours = disturbed(replace(run, model=model, depth=2))
    x = draw(4, 9, 2) if run is BASE else numbers(4, 7)
    outputs, state = ours.unroll(x)
    first, carried = ours.unroll(x[:, :3])
    second, last = ours.unroll(x[:, 3:], carried)
    whole = torch.cat([first, second], 1) if run is EVERY_STEP else second
    torch.testing.assert_close(whole, outputs, rtol=1e-13, atol=1e-13)
    for layer, other in zip(last, state, strict=True):
        assert [part.shape for part in layer] == [(4, 5)] * (2 if isinstance(model, LSTM) else 1)
        torch.testing.assert_close(layer, other, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("model", CELLS, ids=str)
def test_a_state_of_zeros_is_where_a_sequence_starts(model: Model) -> None:
    ours, x = disturbed(replace(BASE, model=model)), draw(4, 9, 2)
    zeros = torch.zeros(4, 5, dtype=torch.float64)
    assert torch.equal(ours.unroll(x, [(zeros,) * (2 if isinstance(model, LSTM) else 1)])[0], ours(x))


def test_an_image_is_read_row_by_row_all_channels_of_a_row_at_once() -> None:
    image = draw(2, 3, 32, 32)
    rows = torch.stack([torch.cat([image[:, c, t] for c in range(3)], 1) for t in range(32)], 1)
    model = network(replace(BASE, data=CIFAR10()))
    assert model.get_parameter("layer_1.xi_1.weight").shape == (5, 96)
    assert torch.equal(model(image), model(rows))


def test_digits_as_images_and_as_rows_are_the_same_network() -> None:
    image, rows = network(replace(BASE, data=Digits())), network(replace(BASE, data=Digits(sequence="rows")))
    x = draw(3, 1, 8, 8)
    assert torch.equal(image(x), rows(x.squeeze(1)))
    assert network(replace(BASE, data=Digits(sequence="pixels")))(x.reshape(3, 64, 1)).shape == (3, 10)


# What every cell must allow


@pytest.mark.parametrize("data", [BASE.data, EVERY_STEP.data], ids=lambda data: data.name)
@pytest.mark.parametrize("act", [Tanh(), PReLU()], ids=lambda act: act.name)
@pytest.mark.parametrize("norm", [BASE.norm, LayerNorm()], ids=lambda norm: norm.name)
@pytest.mark.parametrize("model", CELLS, ids=str)
def test_runs_stack(model: Model, norm: LayerNorm, act: Activation, data: Adding) -> None:
    run = replace(BASE, model=model, norm=norm, act=act, data=data, depth=2)
    models = [network(replace(run, seed=seed)) for seed in range(3)]
    parameters, buffers = stack_module_state(models)
    x = torch.stack([draw(4, 9, 2, seed=s) for s in range(3)]) if data is BASE.data else numbers(3, 4, 7)

    def call(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(models[0], (parameters, buffers), x)

    together = torch.vmap(call)(parameters, x)
    together.square().sum().backward()
    for index, model_ in enumerate(models):
        alone = model_(x[index])
        torch.testing.assert_close(together[index], alone, rtol=1e-12, atol=1e-13)
        alone.square().sum().backward()
        for name, parameter in model_.named_parameters():
            torch.testing.assert_close(parameters[name].grad[index], parameter.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("model", CELLS, ids=str)
def test_every_parameter_gets_a_gradient_at_depth_3_with_a_learned_activation(model: Model) -> None:
    ours = disturbed(replace(BASE, model=model, depth=3, norm=LayerNorm(), act=PReLU()))
    ours(draw(4, 9, 2)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in ours.parameters())


def test_a_learned_activation_is_learned_for_candidate_and_cell_apart() -> None:
    layer = network(replace(BASE, act=PReLU())).get_submodule("layer_1")
    assert layer.get_submodule("candidate").weight is not layer.get_submodule("cell_act").weight


@pytest.mark.parametrize("model", CELLS, ids=str)
def test_dropout_is_on_what_goes_up_and_not_on_what_goes_on(model: Model) -> None:
    run = replace(EVERY_STEP, model=model, depth=2)
    plain, noisy = network(run), network(replace(run, reg=Dropout(0.5)))
    x = numbers(4, 7)
    given: dict[str, tuple[Tensor, Tensor]] = {}
    for name in ("dropout_1", "dropout_2"):
        module = noisy.get_submodule(name)
        module.register_forward_hook(lambda m, i, o, name=name: given.update({name: (i[0], o)}))
    _, state = noisy.unroll(x)
    assert torch.equal(state[0][0], plain.unroll(x)[1][0][0])  # the first layer's h are as without dropout
    masks = [dropped / hidden for hidden, dropped in given.values()]
    assert len(masks) == 2
    for mask in masks:
        assert mask.shape == (7, 4, 5)
        torch.testing.assert_close(mask.unique(), torch.tensor([0.0, 2.0], dtype=torch.float64))
    assert not torch.equal(masks[0] == 0, masks[1] == 0)
    assert torch.equal(noisy.eval()(x), plain.eval()(x))
