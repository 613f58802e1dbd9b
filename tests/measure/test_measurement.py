"""Measurement of any module in any loop: extreme numbers, absent figures, and what it leaves behind."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from vanishgrad.measure import Measurement
from vanishgrad.records import GRADIENT_COLUMNS

Figures = dict[str, float | None]


def network(seed: int = 0) -> nn.Sequential:
    """4 inputs, 6 tanh units, 3 outputs."""
    return drawn(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3), seed=seed)


def drawn(*modules: nn.Module, seed: int = 0) -> nn.Sequential:
    """The modules in a row, the parameters of linear ones drawn from N(0, 1/4)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in (one for one in modules if isinstance(one, nn.Linear)):
            for parameter in module.parameters():
                parameter.normal_(0, 0.5, generator=generator)
    return nn.Sequential(*modules)


def batch(seed: int = 1, size: int = 8) -> Tensor:
    return torch.randn(size, 4, generator=torch.Generator().manual_seed(seed))


def unchanged() -> None:
    """No update."""


def recorded_pass(measurement: Measurement, model: nn.Module, loss: Callable[[], Tensor]) -> None:
    """One measured forward and backward pass, as a training loop makes it."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with measurement.recording():
        total = loss()
    found = torch.autograd.grad(total, [*parameters, *measurement.recorded()], allow_unused=True)
    measurement.gradients(found[: len(parameters)], found[len(parameters) :])


def heard_pass(measurement: Measurement, model: nn.Module, loss: Callable[[], Tensor]) -> None:
    """The same for a measurement that listens, with a backward pass that knows nothing of it."""
    with measurement.recording():
        total = loss()
    total.backward()
    measurement.gradients([parameter.grad for parameter in model.parameters() if parameter.requires_grad])


def measured(
    model: nn.Module,
    inputs: Tensor,
    scale: float = 1.0,
    update: Callable[[], object] | None = None,
    **options: bool,
) -> dict[str, Figures]:
    """Figures by name of one step whose loss is `scale` times the mean of the squared outputs."""
    measurement = Measurement(model, **options)
    do_pass = heard_pass if options.get("listen") else recorded_pass
    do_pass(measurement, model, lambda: scale * model(inputs).square().mean())
    if update is not None:
        with torch.no_grad():
            update()
    rows, _ = measurement.rows(0, 0, updated=update is not None)
    return {str(row[3]): dict(zip(GRADIENT_COLUMNS[4:], row[4:], strict=True)) for row in rows}


def length(tensor: Tensor) -> float:
    return math.sqrt(math.fsum(value**2 for value in tensor.detach().double().flatten().tolist()))


# gradients of `network` are about 0.1 per element, so that 2^+-100 makes them about 1e29 and 1e-31
@pytest.mark.parametrize("scale", [2.0**-100, 2.0**-60, 2.0**60, 2.0**100])
def test_gradient_norms_are_right_from_1e_minus_30_to_1e30_per_element(scale: float) -> None:
    usual, extreme = measured(network(), batch()), measured(network(), batch(), scale)
    for name, figures in usual.items():
        for column in ("grad_norm", "bias_grad_norm", "delta_norm"):
            # a power of two scales every float32 exactly, so both norms agree to the rounding of one sum
            assert extreme[name][column] == pytest.approx(scale * figures[column], rel=1e-6, abs=0)  # type: ignore[operator]
            assert figures[column] > 1e-3  # type: ignore[operator]


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_weight_figures_are_right_from_1e_minus_30_to_1e30_per_element(size: float) -> None:
    model = drawn(nn.Linear(4, 6, bias=False))
    weight = model[0].weight
    with torch.no_grad():
        weight.copy_(batch(size=6) * size)
    before = weight.detach().clone()
    row = measured(model, batch() / size, 1.0, lambda: weight.mul_(1.25))["0"]
    assert row["weight_norm"] == pytest.approx(length(before), rel=1e-6, abs=0)
    assert row["update_ratio"] == pytest.approx(0.25, rel=1e-6)
    assert row["weight_drift"] == 0


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_a_rare_extreme_layer_does_not_spoil_the_others(size: float) -> None:
    model = network()
    with torch.no_grad():
        model[2].weight.mul_(size)
    rows = measured(model, batch(), 1 / size)
    plain = measured(network(), batch())
    assert rows["2"]["weight_norm"] == pytest.approx(length(model[2].weight), rel=1e-6, abs=0)
    assert rows["0"]["weight_norm"] == pytest.approx(plain["0"]["weight_norm"], rel=1e-6)


def test_statistics_of_huge_activations_stay_finite() -> None:
    model = drawn(nn.Linear(4, 6, bias=False), nn.ReLU(), nn.Linear(6, 3))
    with torch.no_grad():
        model[0].weight.fill_(1e37)
    inputs = torch.ones(64, 4)
    row = measured(model, inputs, 1e-30)["0"]
    assert row["act_mean"] == pytest.approx(4e37, rel=1e-6)  # 384 of them add up to more than float32 holds
    assert row["act_std"] == pytest.approx(0, abs=1e32)


def test_the_change_of_weights_is_measured_not_derived() -> None:
    model = network()
    row = measured(model, batch(), update=unchanged)["0"]
    assert row["update_ratio"] == 0
    shifted = measured(model, batch(), update=lambda: model[0].weight.add_(0.125))["0"]
    with torch.no_grad():
        before = model[0].weight - 0.125
    assert shifted["update_ratio"] == pytest.approx(0.125 * math.sqrt(24) / length(before), rel=1e-5)


def test_drift_counts_from_the_weights_at_the_start() -> None:
    model = network()
    start = model[0].weight.detach().clone()
    measurement = Measurement(model)
    with torch.no_grad():
        model[0].weight.mul_(3)
    for expected in (2.0, 5.0):
        recorded_pass(measurement, model, lambda: model(batch()).square().mean())
        with torch.no_grad():
            model[0].weight.copy_(start * 6)
        rows, _ = measurement.rows(0, 0)
        row = dict(zip(GRADIENT_COLUMNS, rows[0], strict=True))
        assert row["weight_drift"] == pytest.approx(expected, rel=1e-6)


def test_figures_that_do_not_exist_are_absent() -> None:
    model = drawn(nn.Linear(4, 6, bias=False), nn.Tanh(), nn.Linear(6, 3))
    nn.init.zeros_(model[2].weight)
    rows = measured(model, batch(), update=lambda: model[2].weight.add_(1))
    assert rows["0"]["bias_grad_norm"] is None
    absent = {name for name, value in rows["2"].items() if value is None}
    assert absent == {"update_ratio", "weight_drift", "act_mean", "act_std", "saturation", "dead_fraction"}
    assert rows["2"]["weight_norm"] == 0


def test_a_frozen_weight_has_no_gradient_norm() -> None:
    model = network()
    model[0].weight.requires_grad_(False)
    rows = measured(model, batch())
    assert "0" not in rows or rows["0"]["grad_norm"] is None
    assert rows["2"]["grad_norm"] is not None


def test_a_layer_without_any_gradient_is_measured_all_the_same() -> None:
    model = drawn(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    with torch.no_grad():
        model[0].bias.fill_(-100)
    row = measured(model, batch())["0"]
    assert row["grad_norm"] == row["bias_grad_norm"] == row["delta_norm"] == 0
    assert row["saturation"] == row["dead_fraction"] == 1


def test_gradients_alone_leave_the_other_columns_empty() -> None:
    rows = measured(network(), batch(), update=unchanged, everything=False)
    everything = measured(network(), batch(), update=unchanged)
    for name, row in rows.items():
        there = {column for column, value in row.items() if value is not None}
        assert there == {"grad_norm", "bias_grad_norm"}
        assert {column: everything[name][column] for column in there} == pytest.approx(
            {column: row[column] for column in there}, rel=1e-6
        )


def test_uses_of_one_layer_within_a_pass_count_as_one_larger_batch() -> None:
    shared = nn.Linear(4, 4)
    model = drawn(shared, nn.Tanh(), shared, nn.Tanh())
    row = measured(model, batch())["0"]
    z1 = (batch() @ shared.weight.T + shared.bias).detach().requires_grad_()
    z2 = torch.tanh(z1) @ shared.weight.T + shared.bias
    deltas = torch.autograd.grad(torch.tanh(z2).square().mean(), [z1, z2])
    outputs = torch.tanh(torch.cat([z1, z2])).detach().double()
    assert row["delta_norm"] == pytest.approx(length(torch.cat(deltas)), rel=1e-5)
    (gradient,) = torch.autograd.grad(model(batch()).square().mean(), shared.weight)
    assert row["grad_norm"] == pytest.approx(length(gradient), rel=1e-6)
    assert row["act_mean"] == pytest.approx(float(outputs.mean()), rel=1e-5)
    assert row["act_std"] == pytest.approx(float(outputs.std(correction=0)), rel=1e-5)


def test_uses_of_one_weight_normalized_layer_add_up_their_gradients() -> None:
    shared = weight_norm(nn.Linear(4, 4))
    model = drawn(shared, nn.Tanh(), shared)
    row = measured(model, batch())["0"]
    weight = shared.weight.detach().requires_grad_()
    inner = torch.tanh(batch() @ weight.T + shared.bias)
    (gradient,) = torch.autograd.grad((inner @ weight.T + shared.bias).square().mean(), weight)
    assert row["grad_norm"] == pytest.approx(length(gradient), rel=1e-5)


def test_a_penalty_on_a_weight_normalized_layer_is_in_its_gradient() -> None:
    layer = weight_norm(nn.Linear(4, 3, bias=False))
    model = drawn(layer)
    measurement = Measurement(model)
    recorded_pass(
        measurement, model, lambda: model(batch()).square().mean() + 5 * layer.weight.square().sum()
    )
    rows, _ = measurement.rows(0, 0, updated=False)
    weight = layer.weight.detach().requires_grad_()
    loss = (batch() @ weight.T).square().mean() + 5 * weight.square().sum()
    (gradient,) = torch.autograd.grad(loss, weight)
    assert rows[0][4] == pytest.approx(length(gradient), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_sigmoid_far_down_its_tail_is_saturated_but_not_dead(dtype: torch.dtype) -> None:
    model = drawn(nn.Linear(4, 6), nn.Sigmoid(), nn.Linear(6, 3)).to(dtype)
    nn.init.zeros_(model[0].weight)
    nn.init.constant_(model[0].bias, -30.0)  # the slope is 9e-14: small, and not 0
    row = measured(model, batch().to(dtype))["0"]
    assert row["grad_norm"] > 0  # type: ignore[operator]
    assert row["saturation"] == 1
    assert row["dead_fraction"] == 0


@pytest.mark.parametrize("act, bias", [(nn.Sigmoid(), 40.0), (nn.Tanh(), 40.0), (nn.Tanh(), -40.0)], ids=str)
def test_units_whose_slope_underflows_to_0_are_dead(act: nn.Module, bias: float) -> None:
    model = drawn(nn.Linear(4, 6), act, nn.Linear(6, 3))
    nn.init.zeros_(model[0].weight)
    nn.init.zeros_(model[0].bias)
    with torch.no_grad():
        model[0].bias[:3] = bias
    assert measured(model, batch())["0"]["dead_fraction"] == 0.5


def test_the_slope_of_prelu_is_that_of_the_pass_not_of_the_updated_network() -> None:
    act = nn.PReLU(init=0.04)
    model = drawn(nn.Linear(4, 6), act, nn.Linear(6, 3))
    outputs = model[0](batch())
    row = measured(model, batch(), update=lambda: act.weight.fill_(0.5))["0"]
    assert row["saturation"] == pytest.approx(float((outputs < 0).double().mean()))


@pytest.mark.parametrize(
    "act", [nn.Tanh(), nn.GELU(), nn.ELU(), nn.Softplus(), nn.LeakyReLU(), nn.PReLU()], ids=str
)
def test_listening_to_somebody_elses_backward_pass_gives_the_same_figures(act: nn.Module) -> None:
    model = drawn(weight_norm(nn.Linear(4, 6)), act, nn.Linear(6, 3))
    assert measured(model, batch(), listen=True) == measured(model, batch())


def test_an_activation_of_ones_own_counts_when_it_says_so() -> None:
    class Square(nn.Module):
        elementwise = True

        def forward(self, x: Tensor) -> Tensor:
            return x.square()

    model = drawn(nn.Linear(4, 6), Square(), nn.Linear(6, 3))
    row = measured(model, batch())["0"]
    outputs = model[0](batch()).double().square()
    assert row["act_mean"] == pytest.approx(float(outputs.detach().mean()), rel=1e-5)
    assert row["dead_fraction"] == 0


def test_activations_of_ones_own_that_differ_in_a_number_are_told_apart() -> None:
    class Above(nn.Module):
        elementwise = True

        def __init__(self, threshold: float) -> None:
            super().__init__()
            self.threshold = threshold

        def forward(self, x: Tensor) -> Tensor:
            return torch.where(x > self.threshold, x, torch.zeros_like(x))

    model = drawn(nn.Linear(4, 4), Above(-100.0), nn.Linear(4, 4), Above(100.0), nn.Linear(4, 3))
    rows = measured(model, batch())
    assert (rows["0"]["saturation"], rows["2"]["saturation"]) == (0, 1)


@pytest.mark.parametrize("listen", [False, True])
def test_no_hook_stays_after_a_step(listen: bool) -> None:
    model = network()
    measured(model, batch(), listen=listen)
    assert not nn.modules.module._global_forward_hooks
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks


def test_passes_without_gradient_before_the_step_are_ignored() -> None:
    model = network()
    expected = measured(model, batch())
    measurement = Measurement(model)

    def loss() -> Tensor:
        with torch.no_grad():
            model(batch(seed=7))
        return model(batch()).square().mean()

    recorded_pass(measurement, model, loss)
    rows, _ = measurement.rows(0, 0, updated=False)
    assert [row[4:] for row in rows] == [tuple(figures.values()) for figures in expected.values()]


def test_other_models_that_run_meanwhile_are_ignored() -> None:
    model, other = network(), network(seed=5)
    expected = measured(model, batch())
    measurement = Measurement(model)
    recorded_pass(measurement, model, lambda: model(batch()).square().mean() + 0 * other(batch()).sum())
    rows, _ = measurement.rows(0, 0, updated=False)
    assert [row[4:] for row in rows] == [tuple(figures.values()) for figures in expected.values()]


def test_what_travels_beside_the_columns_arrives() -> None:
    model = network()
    measurement = Measurement(model)
    recorded_pass(measurement, model, lambda: model(batch()).square().mean())
    _, extra = measurement.rows(0, 0, updated=False, extra=torch.tensor([1.5, math.inf], dtype=torch.float64))
    assert extra == [1.5, math.inf]


def test_the_global_norm_takes_in_every_parameter() -> None:
    model = drawn(nn.Linear(4, 6), nn.LayerNorm(6), nn.PReLU(), nn.Linear(6, 3))
    measurement = Measurement(model)
    recorded_pass(measurement, model, lambda: model(batch()).square().mean())
    gradients = torch.autograd.grad(model(batch()).square().mean(), list(model.parameters()))
    expected = math.sqrt(sum(length(gradient) ** 2 for gradient in gradients))
    assert float(measurement.grad_norm) == pytest.approx(expected, rel=1e-6)


def test_a_step_without_any_gradient_has_no_norm_and_is_measured_all_the_same() -> None:
    model = network()
    measurement = Measurement(model, listen=True)
    measurement.gradients([None for _ in model.parameters()])
    rows, _ = measurement.rows(0, 0)
    assert float(measurement.grad_norm) == 0
    figures = [dict(zip(GRADIENT_COLUMNS, row, strict=True)) for row in rows]
    assert [row["grad_norm"] for row in figures] == [None, None]
    assert [row["weight_norm"] for row in figures] == pytest.approx(
        [length(model[0].weight), length(model[2].weight)]
    )
