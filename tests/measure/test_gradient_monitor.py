"""The monitor around other people's models, optimizers and loops, against the same step done by hand."""

from __future__ import annotations

import copy
import gc
import io
import math
import weakref
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from vanishgrad import GradientMonitor, diagnose
from vanishgrad.choices.activation import Tanh
from vanishgrad.choices.model.build import build
from vanishgrad.choices.model.recurrent import LSTM
from vanishgrad.choices.residual import IdentityShortcut
from vanishgrad.errors import SettingError
from vanishgrad.measure.activations import is_bounded
from vanishgrad.records import GRADIENT_COLUMNS
from vanishgrad.report import load_runs, write_report
from vanishgrad.run import Run

RATE = 0.1
ACTIVATION_COLUMNS = ["act_mean", "act_std", "saturation", "dead_fraction"]


def normal(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in float64, its parameters drawn from N(0, 1/4)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.double().parameters():
            parameter.normal_(0, 0.5, generator=generator)
    return model


def perceptron(seed: int = 0) -> nn.Sequential:
    """3 inputs, 5 tanh units, 2 outputs."""
    model = drawn(nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2)), seed)
    assert isinstance(model, nn.Sequential)
    return model


def recurrent() -> nn.Module:
    """Our own, reading the rows of images."""
    return build(Run(model=LSTM(), depth=2, width=4, dtype="float64"))


def residual() -> nn.Module:
    """Our own, with residual blocks."""
    return build(Run(depth=5, width=4, act=Tanh(), residual=IdentityShortcut(), dtype="float64"))


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=RATE)


def loss_of(outputs: Tensor) -> Tensor:
    return outputs.square().mean()


def step(model: nn.Module, optimizer: torch.optim.Optimizer, *batches: Tensor) -> None:
    """One update from the accumulated gradients of the batches."""
    optimizer.zero_grad()
    for inputs in batches:
        loss_of(model(inputs)).backward()
    optimizer.step()


def monitored(model: nn.Module, inputs: Tensor, steps: int = 1, every: int = 1) -> pd.DataFrame:
    optimizer = sgd(model)
    with GradientMonitor(model, every=every) as monitor:
        for _ in range(steps):
            step(model, optimizer, inputs)
    return monitor.frame()


def length(*tensors: Tensor) -> float:
    return math.sqrt(math.fsum(x * x for tensor in tensors for x in tensor.detach().flatten().tolist()))


def gradients(loss: Tensor, *tensors: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, tensors, retain_graph=True))


def row(table: pd.DataFrame, name: str, at: int = 0) -> pd.Series:
    (found,) = [one for _, one in table[(table["step"] == at) & (table["name"] == name)].iterrows()]
    return found


def clean(model: nn.Module) -> bool:
    """Whether nothing is hooked to the model, to all modules or to all optimizers."""
    registries = nn.modules.module
    everywhere = [registries._global_forward_hooks, registries._global_forward_pre_hooks]
    everywhere += [_global_optimizer_pre_hooks, _global_optimizer_post_hooks]
    own = [hooks for m in model.modules() for hooks in (m._forward_hooks, m._forward_pre_hooks)]
    return not any([*everywhere, *own])


# --- every figure, of different kinds of models


def test_a_perceptron_is_measured_as_it_is_by_hand() -> None:
    model, x = perceptron(), normal(7, 3)
    start = [parameter.detach().clone() for parameter in model.parameters()]
    table = monitored(model, x, steps=2)
    assert list(table.columns) == list(GRADIENT_COLUMNS)
    assert list(zip(table["step"], table["layer"], table["name"], strict=True)) == [
        (0, 1, "0"), (0, 2, "2"), (1, 1, "0"), (1, 2, "2"),
    ]  # fmt: skip
    parameters = [parameter.requires_grad_() for parameter in start]
    for at in range(2):
        w1, b1, w2, b2 = parameters
        z1 = x @ w1.T + b1
        z2 = torch.tanh(z1) @ w2.T + b2
        g = gradients((z2**2).sum() / z2.numel(), w1, b1, w2, b2, z1, z2)
        for name, w, first, places in (("0", w1, start[0], (0, 1, 4)), ("2", w2, start[2], (2, 3, 5))):
            got = row(table, name, at)
            norms = [length(g[place]) for place in places]
            assert got[["grad_norm", "bias_grad_norm", "delta_norm"]].tolist() == pytest.approx(norms)
            assert got["weight_norm"] == pytest.approx(length(w))
            assert got["update_ratio"] == pytest.approx(RATE * norms[0] / length(w))
            assert got["weight_drift"] == pytest.approx(length(w - first) / length(first))
        hidden, got = torch.tanh(z1).detach(), row(table, "0", at)
        assert got["act_mean"] == pytest.approx(float(hidden.mean()))
        assert got["act_std"] == pytest.approx(float(hidden.std(correction=0)))
        assert got["saturation"] == pytest.approx(float((1 - hidden**2 < 0.05).double().mean()))
        assert row(table, "2", at)[ACTIVATION_COLUMNS].isna().all()
        with torch.no_grad():
            stepped = [p - RATE * gradient for p, gradient in zip(parameters, g, strict=False)]
        parameters = [parameter.requires_grad_() for parameter in stepped]


def test_a_convolutional_network_with_inplace_relu_and_batch_norm_is_measured_as_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(inplace=True),
        nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(16, 2),
    )  # fmt: skip
    model, x = drawn(net), normal(5, 2, 6, 6)
    p = dict(copy.deepcopy(model).named_parameters())
    table = monitored(model, x)
    z1 = F.conv2d(x, p["0.weight"], p["0.bias"])
    mean, var = z1.mean((0, 2, 3), keepdim=True), z1.var((0, 2, 3), keepdim=True, correction=0)
    scale, shift = p["1.weight"].view(-1, 1, 1), p["1.bias"].view(-1, 1, 1)
    normalized = (z1 - mean) / (var + 1e-5).sqrt() * scale + shift
    z2 = F.conv2d(normalized.clamp(min=0), p["3.weight"], p["3.bias"])
    z3 = z2.clamp(min=0).flatten(1) @ p["6.weight"].T + p["6.bias"]
    asked = [z1, z2, z3, p["0.weight"], p["3.weight"], p["6.weight"]]
    g = [length(one) for one in gradients(loss_of(z3), *asked)]
    assert table["delta_norm"].tolist() == pytest.approx(g[:3])
    assert table["grad_norm"].tolist() == pytest.approx(g[3:])
    for name, inputs in (("0", normalized.detach()), ("3", z2.detach())):
        got = row(table, name)
        assert got["act_mean"] == pytest.approx(float(inputs.clamp(min=0).mean()))
        assert got["saturation"] == pytest.approx(float((inputs <= 0).double().mean()))
        assert got["dead_fraction"] == pytest.approx(float((inputs <= 0).all(0).double().mean()))


@pytest.mark.parametrize("kind", [nn.LeakyReLU, nn.ELU, nn.SiLU, nn.Mish, nn.Hardtanh, nn.ReLU6, nn.CELU])
def test_activations_in_place_are_measured_like_others(kind: type[nn.Module]) -> None:
    x = 4 * normal(7, 3)
    tables = [
        monitored(drawn(nn.Sequential(nn.Linear(3, 5), kind(inplace=inplace), nn.Linear(5, 2))), x)
        for inplace in (False, True)
    ]
    pd.testing.assert_frame_equal(*tables)


class ByKeyword(nn.Module):
    """A perceptron whose modules get their inputs by keyword."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([nn.Linear(3, 5), nn.ELU(), nn.Linear(5, 2)])

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(input=x)
        return x


def test_modules_called_by_keyword_are_measured_without_their_slopes() -> None:
    model, x = drawn(ByKeyword()), normal(7, 3)
    expected = monitored(drawn(nn.Sequential(nn.Linear(3, 5), nn.ELU(), nn.Linear(5, 2))), x)
    columns = ["grad_norm", "delta_norm"]
    pd.testing.assert_frame_equal(monitored(model, x)[columns], expected[columns])


class Recurrent(nn.Module):
    """An LSTM whose last output a linear layer reads."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, 4, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def test_both_matrices_of_an_lstm_are_one_layer_without_what_cannot_be_seen() -> None:
    model, x = drawn(Recurrent()), normal(5, 6, 3)
    p = dict(copy.deepcopy(model).named_parameters())
    table = monitored(model, x)
    h = c = torch.zeros(5, 4, dtype=torch.float64)
    for t in range(6):
        z = x[:, t] @ p["lstm.weight_ih_l0"].T + p["lstm.bias_ih_l0"]
        i, f, g, o = (z + h @ p["lstm.weight_hh_l0"].T + p["lstm.bias_hh_l0"]).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
    z = h @ p["head.weight"].T + p["head.bias"]
    names = ["lstm.weight_ih_l0", "lstm.weight_hh_l0", "head.weight", "lstm.bias_ih_l0", "lstm.bias_hh_l0"]
    g = [length(one) for one in gradients(loss_of(z), *(p[name] for name in names), z)]
    assert table["layer"].tolist() == [1, 1, 2]
    assert table["name"].tolist() == ["lstm.weight_ih_l0", "lstm.weight_hh_l0", "head"]
    assert table["grad_norm"].tolist() == pytest.approx(g[:3])
    assert table["bias_grad_norm"].tolist()[:2] == pytest.approx(g[3:5])
    assert table["delta_norm"].isna().tolist() == [True, True, False]
    assert table["delta_norm"].iloc[2] == pytest.approx(g[5])
    assert table[ACTIVATION_COLUMNS].isna().all(axis=None)


@pytest.mark.parametrize("activation", [nn.GELU(), F.relu])
def test_a_transformer_is_measured_where_its_modules_are_called(activation: Callable[..., Tensor]) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation=activation, batch_first=True)
    model = drawn(nn.Sequential(layer, nn.Flatten(), nn.Linear(24, 2)))
    twin, x = copy.deepcopy(model), normal(5, 3, 8)
    optimizer = sgd(model)
    with GradientMonitor(model) as monitor:
        model.eval()
        with torch.no_grad():
            model(x)  # torch's fast path
        model.train()
        step(model, optimizer, x)
    table = monitor.frame()
    assert table["name"].tolist() == [
        "0.self_attn.in_proj_weight", "0.self_attn.out_proj", "0.linear1", "0.linear2", "2",
    ]  # fmt: skip
    assert table["layer"].tolist() == [1, 2, 3, 4, 5]
    loss_of(twin(x)).backward()
    found = [parameter.grad for parameter in twin.parameters() if parameter.ndim == 2]
    assert table["grad_norm"].tolist() == pytest.approx([length(one) for one in found])
    assert table["delta_norm"].isna().tolist() == [True, True, False, False, False]
    assert bool(table["act_mean"].notna().iloc[2]) == isinstance(activation, nn.Module)


def test_a_normalized_weight_is_measured_as_the_effective_one() -> None:
    model, x = perceptron(), normal(7, 3)
    plain = copy.deepcopy(model)
    weight_norm(model[0])
    table, same = monitored(model, x), monitored(plain, x)
    columns = ["name", "grad_norm", "bias_grad_norm", "delta_norm", "weight_norm", *ACTIVATION_COLUMNS]
    pd.testing.assert_frame_equal(table[columns], same[columns])
    before, after = perceptron()[0].weight, model[0].weight
    assert table["update_ratio"].iloc[0] == pytest.approx(length(after - before) / length(before))


def test_a_frozen_layer_has_no_gradient_and_does_not_move() -> None:
    model, x = perceptron(), normal(7, 3)
    model[0].requires_grad_(False)
    got = row(monitored(model, x), "0")
    assert got[["grad_norm", "bias_grad_norm", "delta_norm"]].isna().all()
    assert got["update_ratio"] == 0
    assert got["weight_norm"] == pytest.approx(length(model[0].weight))


def test_sparse_gradients_have_the_norm_of_dense_ones() -> None:
    tokens = torch.tensor([[0, 2, 2], [5, 0, 2]])
    tables = []
    for sparse in (False, True):
        table = nn.Embedding(6, 4, sparse=sparse)
        tables.append(monitored(drawn(nn.Sequential(table, nn.Flatten(), nn.Linear(12, 2))), tokens))
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shorter_numbers_give_the_same_figures_to_their_precision(dtype: torch.dtype) -> None:
    exact = monitored(perceptron(), normal(7, 3))
    short = monitored(perceptron().to(dtype), normal(7, 3).to(dtype))
    columns = ["grad_norm", "bias_grad_norm", "delta_norm", "weight_norm", "act_std"]
    pd.testing.assert_frame_equal(exact[columns], short[columns], rtol=10 * torch.finfo(dtype).eps)


# --- layers


class Backwards(nn.Module):
    """Three layers in order of registration, run from the last to the first."""

    def __init__(self) -> None:
        super().__init__()
        self.third, self.second = nn.Linear(4, 2), nn.Sequential(nn.Linear(5, 4), nn.Tanh())
        self.first = nn.Linear(3, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.third(self.second(self.first(x)))


def test_layers_count_in_the_order_in_which_they_run() -> None:
    table = monitored(drawn(Backwards()), normal(7, 3), steps=2)
    expected = [(1, "first"), (2, "second.0"), (3, "third")]
    assert list(zip(table["layer"], table["name"], strict=True)) == 2 * expected


def test_a_pass_that_breaks_off_does_not_settle_the_order() -> None:
    model, x = drawn(Backwards()), normal(7, 3)
    with GradientMonitor(model) as monitor:
        with pytest.raises(RuntimeError):
            model(normal(7, 99))
        step(model, sgd(model), x)
    assert monitor.frame()["name"].tolist() == ["first", "second.0", "third"]


def test_a_model_that_numbers_its_layers_is_believed() -> None:
    model = drawn(Backwards())
    model.layer_of = {"first": 1, "second.0": 1, "third": 2}  # type: ignore[assignment]
    assert monitored(model, normal(7, 3))["layer"].tolist() == [1, 1, 2]


@pytest.mark.parametrize("make", [recurrent, residual])
def test_our_own_networks_are_measured_alike_inside_a_larger_model(make: Callable[[], nn.Module]) -> None:
    own, last = make(), drawn(nn.Linear(10, 3))
    first, second = normal(5, 1, 8, 8), normal(3, 1, 8, 8, seed=2)
    tables = []
    for model, answer in ((own, last), (nn.Sequential(make(), copy.deepcopy(last)), nn.Identity())):
        with GradientMonitor(model) as monitor:
            for inputs in (first, second):
                loss_of(answer(model(inputs))).backward()
            sgd(model).step()
        tables.append(monitor.frame())
    alone, inside = tables
    assert alone["delta_norm"].notna().all()
    assert inside["name"].tolist() == [*(f"0.{name}" for name in alone["name"]), "1"]
    figures = ["grad_norm", "delta_norm", *ACTIVATION_COLUMNS]
    pd.testing.assert_frame_equal(alone[figures], inside[figures].iloc[:-1])


def test_the_deltas_of_accumulated_passes_through_time_are_one_batch() -> None:
    model, first, second = recurrent(), normal(5, 1, 8, 8), normal(3, 1, 8, 8, seed=2)
    separate = [monitored(copy.deepcopy(model), x)["delta_norm"] for x in (first, second)]
    with GradientMonitor(model) as monitor:
        step(model, sgd(model), first, second)
    expected = [math.hypot(*pair) for pair in zip(*separate, strict=True)]
    assert monitor.frame()["delta_norm"].tolist() == pytest.approx(expected)


def test_a_single_module_is_a_model_too() -> None:
    model, x = drawn(nn.Linear(3, 2)), normal(7, 3)
    table = monitored(model, x, steps=3)
    assert table["layer"].tolist() == [1, 1, 1]
    assert clean(model)


# --- what a step is


def test_accumulated_passes_are_one_row_with_the_delta_of_both() -> None:
    model, first, second = perceptron(), normal(7, 3), normal(4, 3, seed=2)
    twin, optimizer = copy.deepcopy(model), sgd(model)
    with GradientMonitor(model, every=1) as monitor:
        step(model, optimizer, first, second)
    z = [twin[0](x) for x in (first, second)]
    loss = sum(loss_of(twin[2](torch.tanh(one))) for one in z)
    assert isinstance(loss, Tensor)
    g = gradients(loss, *z, twin[0].weight)
    (got,) = [one for _, one in monitor.frame().query("layer == 1").iterrows()]
    assert got["delta_norm"] == pytest.approx(length(*g[:2]))
    assert got["grad_norm"] == pytest.approx(length(g[2]))
    assert got["act_mean"] == pytest.approx(float(torch.tanh(torch.cat(z)).mean().detach()))


def test_several_passes_into_one_loss_are_one_row() -> None:
    model, first, second = perceptron(), normal(7, 3), normal(4, 3, seed=2)
    expected = monitored(perceptron(), torch.cat([first, second]))
    with GradientMonitor(model) as monitor:
        outputs = torch.cat([model(first), model(second)])
        loss_of(outputs).backward()
        sgd(model).step()
    pd.testing.assert_frame_equal(monitor.frame(), expected)


def evaluated_without_gradient(model: nn.Module) -> None:
    with torch.no_grad():
        model(normal(9, 3, seed=3))


def evaluated_with_gradient_that_nobody_asks_for(model: nn.Module) -> None:
    model(normal(9, 3, seed=3))


def attacked(model: nn.Module) -> None:
    x = normal(9, 3, seed=3).requires_grad_()
    torch.autograd.grad(loss_of(model(x)), x)


def skipped(model: nn.Module) -> None:
    """What a gradient scaler does on overflow."""
    (loss_of(model(normal(9, 3, seed=3))) * math.inf).backward()
    model.zero_grad()


BESIDE = [evaluated_without_gradient, evaluated_with_gradient_that_nobody_asks_for, attacked, skipped]


@pytest.mark.parametrize("beside", BESIDE)
def test_passes_that_train_nothing_leave_no_trace(beside: Callable[[nn.Module], None]) -> None:
    model, x = perceptron(), normal(7, 3)
    optimizer = sgd(model)
    with GradientMonitor(model, every=2) as monitor:
        for _ in range(4):
            beside(model)
            step(model, optimizer, x)
            beside(model)
    pd.testing.assert_frame_equal(monitor.frame(), monitored(perceptron(), x, steps=4, every=2))


@pytest.mark.parametrize("beside", BESIDE[:2])
def test_evaluation_between_pass_and_step_is_ignored(beside: Callable[[nn.Module], None]) -> None:
    model, x = perceptron(), normal(7, 3)
    with GradientMonitor(model) as monitor:
        outputs = model(x)
        beside(model)
        loss_of(outputs).backward()
        beside(model)
        sgd(model).step()
    pd.testing.assert_frame_equal(monitor.frame(), monitored(perceptron(), x))


@pytest.mark.parametrize("every, steps", [(1, [0, 1, 2, 3, 4]), (2, [0, 2, 4]), (3, [0, 3]), (10, [0])])
def test_steps_are_counted_from_0_and_measured_every_so_often(every: int, steps: list[int]) -> None:
    table = monitored(perceptron(), normal(7, 3), steps=5, every=every)
    assert table["step"].tolist() == [at for at in steps for _ in range(2)]
    whole = monitored(perceptron(), normal(7, 3), steps=5)
    pd.testing.assert_frame_equal(table, whole[whole["step"].isin(steps)].reset_index(drop=True))


@pytest.mark.parametrize("every, steps", [(1, [0, 1, 2, 3]), (2, [0, 2])])
def test_two_optimizers_on_parts_of_one_model_make_one_step(every: int, steps: list[int]) -> None:
    model, x = perceptron(), normal(7, 3)
    parts = sgd(model[0]), sgd(model[2])
    with GradientMonitor(model, every=every) as monitor:
        for _ in range(4):
            model.zero_grad()
            loss_of(model(x)).backward()
            for part in parts:
                part.step()
                evaluated_without_gradient(model)
    whole = monitored(perceptron(), x, steps=4)
    expected = whole[whole["step"].isin(steps)].reset_index(drop=True)
    pd.testing.assert_frame_equal(monitor.frame(), expected)
    assert monitor.step == 4


def test_optimizers_that_alternate_make_a_step_each() -> None:
    model, x = perceptron(), normal(7, 3)
    parts = [sgd(model[0]), sgd(model[2])]
    with GradientMonitor(model, every=1) as monitor:
        for turn in range(4):
            step(model, parts[turn % 2], x)
    moved = monitor.frame().pivot(index="step", columns="layer", values="update_ratio") > 0
    assert moved[1].tolist() == [True, False, True, False]
    assert moved[2].tolist() == [False, True, False, True]


def test_every_step_of_one_optimizer_counts_even_without_a_new_pass() -> None:
    model, x = perceptron(), normal(7, 3)
    optimizer = sgd(model)
    with GradientMonitor(model, every=1) as monitor:
        loss_of(model[2](model[1](model[0](x)))).backward()  # never through the model's own forward
        optimizer.step()
        optimizer.step()
    table = monitor.frame()
    assert table["step"].tolist() == [0, 0, 1, 1]
    assert table["grad_norm"].tolist()[:2] == table["grad_norm"].tolist()[2:]
    assert (table["update_ratio"] > 0).all()
    assert (table["weight_drift"] > 0).tolist() == [False, False, True, True]


def test_an_optimizer_of_another_model_is_ignored() -> None:
    model, other, x = perceptron(), perceptron(seed=5), normal(7, 3)
    optimizer, stranger = sgd(model), sgd(other)
    with GradientMonitor(model, every=2) as monitor:
        for _ in range(3):
            step(other, stranger, x)
            step(model, optimizer, x)
            step(other, stranger, x)
    pd.testing.assert_frame_equal(monitor.frame(), monitored(perceptron(), x, steps=3, every=2))


@pytest.mark.parametrize("keyword", [False, True])
def test_an_optimizer_that_calls_a_closure_is_measured_at_its_first_call(keyword: bool) -> None:
    model, x = perceptron(), normal(7, 3)
    bare = perceptron()

    def stepper(net: nn.Module) -> Callable[[], object]:
        optimizer = torch.optim.LBFGS(net.parameters(), lr=0.5, max_iter=4)

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = loss_of(net(x))
            loss.backward()
            return loss

        return lambda: optimizer.step(closure=closure) if keyword else optimizer.step(closure)  # type: ignore[arg-type]

    watched, unwatched = stepper(model), stepper(bare)
    starts = []
    with GradientMonitor(model, every=2) as monitor:
        for _ in range(3):
            starts.append(copy.deepcopy(bare))
            watched()
            unwatched()
    assert all(map(torch.equal, model.parameters(), bare.parameters()))
    table = monitor.frame()
    assert table["step"].tolist() == [0, 0, 2, 2]
    columns = ["grad_norm", "bias_grad_norm", "delta_norm", "weight_norm", *ACTIVATION_COLUMNS]
    for at in (0, 2):
        expected = monitored(copy.deepcopy(starts[at]), x)
        got = table[table["step"] == at].reset_index(drop=True)
        pd.testing.assert_frame_equal(got[columns], expected[columns])
    moved = length(starts[1][0].weight - starts[0][0].weight) / length(starts[0][0].weight)
    assert row(table, "0")["update_ratio"] == pytest.approx(moved)


class Breaking(torch.optim.SGD):
    """Calls the closure and fails."""

    def step(self, closure: Callable[[], float] | None = None) -> float:  # type: ignore[override]
        assert closure is not None
        closure()
        raise MemoryError


def test_a_step_that_raises_is_not_counted_and_the_next_one_is_measured() -> None:
    model, x = perceptron(), normal(7, 3)
    breaking = Breaking(model.parameters(), lr=RATE)

    def closure() -> float:
        loss = loss_of(model(3 * x))
        loss.backward()
        return float(loss.detach())

    with GradientMonitor(model) as monitor:
        with pytest.raises(MemoryError):
            breaking.step(closure)
        step(model, sgd(model), x)
    columns = ["step", "grad_norm", "weight_norm", "update_ratio"]
    pd.testing.assert_frame_equal(monitor.frame()[columns], monitored(perceptron(), x)[columns])


def test_gradients_are_those_that_the_optimizer_receives() -> None:
    model, x = perceptron(), normal(7, 3)
    with GradientMonitor(model) as monitor:
        loss_of(model(x)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        sgd(model).step()
    found = monitor.frame()
    parts = [*found["grad_norm"], *found["bias_grad_norm"]]
    assert math.hypot(*parts) == pytest.approx(0.01, rel=1e-3)  # torch divides by the norm + 1e-6


# --- what it leaves behind


MODELS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "perceptron": lambda: (perceptron().float(), normal(7, 3).float()),
    "float64": lambda: (perceptron(), normal(7, 3)),
    "convolution": lambda: (
        drawn(
            nn.Sequential(
                nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.Dropout(0.3), nn.Flatten(),
                nn.Linear(48, 2),
            )
        ).float(),
        normal(5, 1, 6, 6).float(),
    ),
    "lstm": lambda: (drawn(Recurrent()).float(), normal(5, 6, 3).float()),
    "transformer": lambda: (
        drawn(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)).float(), normal(5, 3, 8).float(),
    ),
    "weight_norm": lambda: (weight_norm(drawn(nn.Linear(3, 2)).float()), normal(7, 3).float()),
}  # fmt: skip


@pytest.mark.parametrize("kind", MODELS)
def test_fifty_monitored_steps_equal_the_bare_loop_bit_for_bit(kind: str) -> None:
    states = []
    for watched in (False, True):
        model, x = MODELS[kind]()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            monitor = GradientMonitor(model, every=3)
            if watched:
                monitor.__enter__()
            for _ in range(50):
                step(model, optimizer, x)
            monitor.__exit__(None, None, None)
        states.append(model.state_dict())
    bare, measured = states
    assert bare.keys() == measured.keys()
    assert all(torch.equal(bare[name], measured[name]) for name in bare)


def train_until_the_shape_is_wrong(model: nn.Module, batches: list[Tensor]) -> None:
    for inputs in batches:
        step(model, sgd(model), inputs)


def test_measured_passes_are_not_kept() -> None:
    model, x = perceptron(), normal(7, 3)
    optimizer, outputs = sgd(model), []
    model[1].register_forward_hook(lambda module, inputs, output: outputs.append(weakref.ref(output)))
    with GradientMonitor(model, every=1):
        for _ in range(3):
            step(model, optimizer, x)
    gc.collect()
    assert [output() for output in outputs] == [None, None, None]


@pytest.mark.parametrize(
    ("model", "shape"), [(perceptron(), [3]), (recurrent(), [1, 8, 8]), (residual(), [1, 8, 8])],
    ids=["torch", "recurrent", "residual"],
)  # fmt: skip
def test_the_graph_of_a_pass_that_nobody_walks_back_is_not_kept(model: nn.Module, shape: list[int]) -> None:
    class Saved:
        """What the graph keeps of a tensor for its backward pass."""

        def __init__(self, tensor: Tensor) -> None:
            self.tensor = tensor.detach()
            saved.append(weakref.ref(self))

    saved: list[weakref.ref[Saved]] = []
    with GradientMonitor(model), torch.autograd.graph.saved_tensors_hooks(Saved, lambda one: one.tensor):
        model(normal(5, *shape))
        gc.collect()
        assert saved
        assert [one() for one in saved] == [None] * len(saved)


def test_no_hook_stays_after_the_block_nor_after_an_error_in_it() -> None:
    model, x = perceptron(), normal(7, 3)
    monitored(model, x)
    assert clean(model)
    monitor = GradientMonitor(model, every=1)
    with pytest.raises(RuntimeError), monitor:
        train_until_the_shape_is_wrong(model, [x, normal(7, 99)])
    assert clean(model)
    assert len(monitor.frame()) == 2


def test_a_failing_pass_leaves_no_hook_on_other_modules() -> None:
    model = perceptron()
    with GradientMonitor(model):
        with pytest.raises(RuntimeError):
            model(normal(7, 99))
        assert not nn.modules.module._global_forward_hooks
        assert not nn.modules.module._global_forward_pre_hooks


def test_a_model_can_be_copied_and_pickled_while_it_is_watched() -> None:
    model, x = perceptron(), normal(7, 3)
    with GradientMonitor(model) as monitor:
        loss = loss_of(model(x))
        average, file = copy.deepcopy(model), io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        again = torch.load(file, weights_only=False)
        for other in (average, again):
            assert torch.equal(other(x), model(x))
        loss.backward()
        sgd(model).step()
    pd.testing.assert_frame_equal(monitor.frame(), monitored(perceptron(), x))


def test_a_monitor_can_be_entered_again() -> None:
    model, x = perceptron(), normal(7, 3)
    monitor, optimizer = GradientMonitor(model, every=2), sgd(model)
    for _ in range(2):
        with monitor:
            for _ in range(3):
                step(model, optimizer, x)
    pd.testing.assert_frame_equal(monitor.frame(), monitored(perceptron(), x, steps=6, every=2))


# --- the run folder


def test_a_saved_monitor_is_a_run_that_the_report_reads(tmp_path: Path) -> None:
    model, x = perceptron(), normal(7, 3)
    optimizer = sgd(model)
    with GradientMonitor(model, every=1) as monitor:
        for _ in range(3):
            step(model, optimizer, x)
    assert monitor.save(tmp_path / "mine") == tmp_path / "mine"
    (run,) = load_runs(tmp_path)
    columns = [name for name in GRADIENT_COLUMNS if name != "name"]
    pd.testing.assert_frame_equal(run.gradients[columns], monitor.frame()[columns], rtol=1e-8)
    assert (run.name, run.status, run.record["steps"]) == ("mine", "completed", 3)
    assert run.metrics["lr"].tolist() == [RATE] * 3
    parts = monitor.frame().groupby("step")[["grad_norm", "bias_grad_norm"]]
    norms = [math.hypot(*part.to_numpy().flatten()) for _, part in parts]
    assert run.metrics["grad_norm"].tolist() == pytest.approx(norms)
    write_report([tmp_path], tmp_path / "report")
    assert "mine" in (tmp_path / "report" / "index.html").read_text(encoding="utf-8")


def test_a_monitored_explosion_is_saved_as_diverged(tmp_path: Path) -> None:
    model, x = perceptron(), normal(7, 3)
    optimizer = sgd(model)
    with GradientMonitor(model, every=1) as monitor:
        for size in (1.0, 1.0, math.inf, 1.0):
            optimizer.zero_grad()
            (loss_of(model(x)) * size).backward()
            optimizer.step()
    (run,) = load_runs(monitor.save(tmp_path / "mine"))
    assert run.status == "diverged"
    assert run.record["diverged_at"]["step"] == 2


def test_a_monitor_that_saw_nothing_has_an_empty_table_of_the_right_columns() -> None:
    with GradientMonitor(perceptron()) as monitor:
        pass
    assert monitor.frame().empty
    assert list(monitor.frame().columns) == list(GRADIENT_COLUMNS)


# --- mistakes


@pytest.mark.parametrize("every", [0, -1])
def test_steps_between_measurements_are_positive(every: int) -> None:
    with pytest.raises(SettingError, match=f"every={every}: must be at least 1"):
        GradientMonitor(perceptron(), every=every)


def test_models_without_weight_matrices_are_refused() -> None:
    with pytest.raises(SettingError, match="LayerNorm: has no weight matrix"):
        GradientMonitor(nn.LayerNorm(3))


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_models_whose_weights_have_no_shape_yet_are_refused() -> None:
    with pytest.raises(SettingError, match="Sequential: run one batch through its lazy modules"):
        GradientMonitor(nn.Sequential(nn.Linear(3, 4), nn.LazyLinear(2)))


FLAT_ENDS: list[tuple[nn.Module, bool | None]] = [
    (nn.Hardtanh(), True), (nn.Hardsigmoid(), True), (nn.Tanh(), True), (nn.Sigmoid(), True),
    (nn.Softsign(), True), (nn.ReLU6(), True), (nn.ReLU(), False), (nn.GELU(), False), (nn.Softplus(), False),
    (nn.LeakyReLU(0.01), False), (nn.PReLU(), False), (nn.Softshrink(), False), (nn.Identity(), None),
    (nn.Sequential(nn.Tanh(), nn.ReLU()), None), (nn.Linear(2, 2), None),
]  # fmt: skip


@pytest.mark.parametrize("module, expected", FLAT_ENDS, ids=lambda value: str(value).replace("\n", ""))
def test_an_activation_is_bounded_when_both_of_its_tails_are_flat(
    module: nn.Module, expected: bool | None
) -> None:
    assert is_bounded(module) is expected


@pytest.mark.parametrize("act", [nn.Hardtanh(), nn.Hardsigmoid()], ids=str)
def test_a_saturated_network_is_saturated_whatever_its_activation_is_called(act: nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), act, nn.Linear(32, 32), act, nn.Linear(32, 2))
    for linear in (model[0], model[2], model[4]):
        nn.init.normal_(linear.weight, 0, 40.0, generator=generator)  # type: ignore[arg-type]
        nn.init.zeros_(linear.bias)  # type: ignore[arg-type]
    x = torch.randn(64, 8, generator=generator)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    with GradientMonitor(model, every=1) as monitor:
        for _ in range(12):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
    saturated = monitor.frame()["saturation"].dropna()
    assert saturated.min() > 0.9
    assert "saturated" in monitor.diagnose()
    assert "saturated" in diagnose(monitor.frame())
