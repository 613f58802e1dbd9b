"""Gaussian expectations against closed forms, and every activation against an independent quadrature."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from vanishgrad.theory.gaussian import derivative, expectation, gaussian_nodes
from vanishgrad.theory.mean_field import second_moment, slope_moment

Array = NDArray[np.float64]
LENGTHS = (1e-8, 1e-3, 1.0, 37.0, 1e4)


def sigmoid(x: Array) -> Array:
    return 0.5 + 0.5 * np.tanh(x / 2)


def softplus(x: Array) -> Array:
    return np.logaddexp(0, x)


def elu(x: Array, alpha: float) -> Array:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def erf(x: Array) -> Array:
    return np.array([math.erf(value) for value in x])


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
FORMULAS: list[tuple[Callable[[torch.Tensor], torch.Tensor], Callable[[Array], Array]]] = [
    (nn.Identity(), lambda x: x),
    (nn.ReLU(), lambda x: np.maximum(x, 0)),
    (nn.LeakyReLU(0.3), lambda x: np.where(x > 0, x, 0.3 * x)),
    (nn.PReLU(init=0.25), lambda x: np.where(x > 0, x, 0.25 * x)),
    (nn.Sigmoid(), sigmoid),
    (nn.Tanh(), np.tanh),
    (nn.Softsign(), lambda x: x / (1 + np.abs(x))),
    (nn.Softplus(), softplus),
    (nn.ELU(), lambda x: elu(x, 1.0)),
    (nn.ELU(0.5), lambda x: elu(x, 0.5)),
    (nn.SELU(), lambda x: SELU_SCALE * elu(x, SELU_ALPHA)),
    (nn.GELU(), lambda x: x * (1 + erf(x / math.sqrt(2))) / 2),
    (nn.SiLU(), lambda x: x * sigmoid(x)),
    (nn.Mish(), lambda x: x * np.tanh(softplus(x))),
    (torch.erf, erf),
]
every_activation = pytest.mark.parametrize(
    ("f", "formula"), FORMULAS, ids=[getattr(f, "__name__", str(f)) for f, _ in FORMULAS]
)


def trapezoid(formula: Callable[[Array], Array], q: float) -> tuple[float, float]:
    """(E[f^2], E[f'^2]) for x ~ N(0, q), the slope by central differences.

    x = exp(t) on either side of 0, so that the integrand and all its derivatives vanish at both ends of t and
    the trapezoidal rule converges exponentially, whatever the scales in f.
    """
    t, step = np.linspace(-60, math.log(10), 16001, retstep=True)
    moments = np.zeros(2)
    for sign in (-1, 1):
        z = np.exp(t)
        x = sign * math.sqrt(q) * z
        nudge = 2e-3 * np.minimum(np.abs(x), 1)  # stays on this side of the kink
        slope = (
            8 * (formula(x + nudge) - formula(x - nudge)) - (formula(x + 2 * nudge) - formula(x - 2 * nudge))
        ) / (12 * nudge)
        density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) * z * step
        moments += [np.sum(formula(x) ** 2 * density), np.sum(slope**2 * density)]
    return float(moments[0]), float(moments[1])


@every_activation
@pytest.mark.parametrize("q", LENGTHS)
def test_moments_agree_with_an_independent_quadrature(
    f: Callable[[torch.Tensor], torch.Tensor], formula: Callable[[Array], Array], q: float
) -> None:
    square, slope = trapezoid(formula, q)
    assert second_moment(f, q) == pytest.approx(square, rel=1e-10)
    assert slope_moment(f, q) == pytest.approx(slope, rel=1e-8)  # the differences' own error


@pytest.mark.parametrize("q", LENGTHS)
@pytest.mark.parametrize("a", [0.0, 0.25, -1.0])
def test_leaky_relu_moments_are_half_of_one_plus_a_squared(a: float, q: float) -> None:
    f = nn.LeakyReLU(a)
    assert second_moment(f, q) == pytest.approx((1 + a**2) / 2 * q, rel=1e-13)
    assert slope_moment(f, q) == pytest.approx((1 + a**2) / 2, rel=1e-13)


@pytest.mark.parametrize("q", [*LENGTHS, 1e8])
def test_erf_moments_have_the_closed_form_of_williams(q: float) -> None:
    arc = math.asin(2 * q / (1 + 2 * q))
    assert second_moment(torch.erf, q) == pytest.approx(2 / math.pi * arc, rel=1e-11)
    assert slope_moment(torch.erf, q) == pytest.approx(4 / math.pi / math.sqrt(1 + 4 * q), rel=1e-11)


@pytest.mark.parametrize(("order", "moment"), [(0, 1), (1, 0), (2, 1), (4, 3), (6, 15), (8, 105)])
def test_normal_moments_are_the_double_factorials(order: int, moment: int) -> None:
    assert expectation(lambda x: x**order, 1.0) == pytest.approx(moment, rel=1e-14, abs=1e-14)


def test_sine_moment_is_exact() -> None:
    assert expectation(lambda x: torch.sin(x) ** 2, 3.0) == pytest.approx((1 - math.exp(-6)) / 2, rel=1e-13)


def test_a_jump_at_zero_is_integrated_exactly() -> None:
    assert expectation(lambda x: (x > 0).double(), 2.0) == pytest.approx(0.5, rel=1e-14)


def test_slopes_at_zero_length_are_the_mean_of_both_sides() -> None:
    assert slope_moment(nn.LeakyReLU(0.5), 0.0) == pytest.approx((1 + 0.25) / 2, rel=1e-13)
    assert second_moment(nn.Sigmoid(), 0.0) == pytest.approx(0.25, rel=1e-14)


def test_derivative_is_taken_where_gradients_are_off() -> None:
    x = torch.tensor([-0.5, 2.0], dtype=torch.float64)
    expected = 1 - torch.tanh(x) ** 2
    with torch.no_grad():
        torch.testing.assert_close(derivative(torch.tanh)(x), expected)
    with torch.inference_mode():
        torch.testing.assert_close(derivative(nn.Tanh())(x), expected)


def test_inference_mode_leaves_nothing_behind() -> None:
    gaussian_nodes.cache_clear()
    with torch.inference_mode():
        inside = slope_moment(nn.PReLU(), 1.0)
    assert slope_moment(nn.PReLU(), 1.0) == inside == pytest.approx((1 + 0.25**2) / 2)


def test_a_module_with_parameters_is_left_as_it_was() -> None:
    f = nn.PReLU(init=0.25)
    assert slope_moment(f, 1.0) == pytest.approx((1 + 0.25**2) / 2, rel=1e-13)
    assert f.weight.dtype == torch.float32
    assert f.weight.requires_grad
    assert f.weight.grad is None


def test_an_in_place_module_does_not_spoil_the_nodes() -> None:
    before = gaussian_nodes()[0].clone()
    assert second_moment(nn.ReLU(inplace=True), 1.0) == pytest.approx(0.5, rel=1e-13)
    assert slope_moment(nn.ReLU(inplace=True), 1.0) == pytest.approx(0.5, rel=1e-13)
    torch.testing.assert_close(gaussian_nodes()[0], before, rtol=0, atol=0)


def test_the_default_dtype_changes_nothing() -> None:
    gaussian_nodes.cache_clear()
    torch.set_default_dtype(torch.float16)
    try:
        assert second_moment(torch.erf, 1.0) == pytest.approx(2 / math.pi * math.asin(2 / 3), rel=1e-12)
    finally:
        torch.set_default_dtype(torch.float32)
