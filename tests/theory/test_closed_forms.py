"""Closed forms against quadrature, for every quantity that has one."""

import math

import pytest
import torch
from torch import Tensor, nn

from vanishgrad.theory.correlation import product_expectation
from vanishgrad.theory.gaussian import (
    ClosedForm,
    ErrorFunction,
    Function,
    Rectified,
    closed_form,
    derivative,
    expectation,
    in_float64,
)

LENGTHS = (1e-6, 0.1, 1.0, 30.0)
CORRELATIONS = (-1.0, -0.9, -0.2, 0.0, 0.3, 0.8, 0.99, 1.0)


def opaque(f: Function) -> Function:
    """The same function, in which no closed form is recognized."""
    return lambda x: f(x)


PAIRS: list[tuple[Function, ClosedForm]] = [
    (nn.ReLU(), Rectified(0.0)),
    (nn.LeakyReLU(0.3), Rectified(0.3)),
    (nn.LeakyReLU(-1.0), Rectified(-1.0)),
    (nn.PReLU(init=0.25), Rectified(0.25)),
    (nn.Identity(), Rectified(1.0)),
    (torch.erf, ErrorFunction()),
]
every_form = pytest.mark.parametrize("f, closed", PAIRS, ids=[str(closed) for _, closed in PAIRS])


@every_form
def test_the_forms_are_recognized(f: Function, closed: ClosedForm) -> None:
    assert closed_form(f) == closed


@pytest.mark.parametrize("f", [torch.tanh, nn.GELU(), nn.SELU(), opaque(torch.erf), nn.PReLU(3)])
def test_nothing_else_is(f: Function) -> None:
    assert closed_form(f) is None


@every_form
@pytest.mark.parametrize("q", LENGTHS)
def test_moments_agree_with_quadrature(f: Function, closed: ClosedForm, q: float) -> None:
    plain, slope = in_float64(f), derivative(f)
    with torch.no_grad():
        assert closed.mean(q) == pytest.approx(expectation(f, q), rel=1e-12, abs=1e-15)
        assert closed.square(q) == pytest.approx(expectation(lambda x: plain(x) ** 2, q), rel=1e-11)
    for power in (2, 4):
        expected = expectation(lambda x, n=power: slope(x) ** n, q)
        assert closed.slope_power(q, power) == pytest.approx(expected, rel=1e-11)


@every_form
@pytest.mark.parametrize("q", LENGTHS)
@pytest.mark.parametrize("c", CORRELATIONS)
def test_products_agree_with_quadrature_in_the_plane(
    f: Function, closed: ClosedForm, q: float, c: float
) -> None:
    scale = closed.square(q)
    assert closed.product(q, c) == pytest.approx(product_expectation(f, q, c), abs=1e-10 * scale)
    slopes = product_expectation(derivative(f), q, c)
    assert closed.slope_product(q, c) == pytest.approx(slopes, abs=1e-10 * closed.slope_power(q, 2))


@pytest.mark.parametrize("c, angular", [(1.0, 1.0), (0.0, 1 / math.pi), (-1.0, 0.0)])
def test_relu_products_are_the_arc_cosine_kernel_of_degree_one(c: float, angular: float) -> None:
    """Cho and Saul 2009, eq. 3 and 6: J_1 / pi is 1, 1 / pi and 0 at the angles 0, pi / 2 and pi."""
    assert Rectified(0.0).product(2.0, c) == pytest.approx(angular, abs=1e-15)


def test_erf_products_are_those_of_williams_in_two_dimensions() -> None:
    """Williams 1997, eq. 11, with the covariance q ((1, c), (c, 1))."""
    q, c = 0.7, 0.4
    expected = 2 / math.pi * math.asin(2 * q * c / math.sqrt((1 + 2 * q) * (1 + 2 * q)))
    assert ErrorFunction().product(q, c) == pytest.approx(expected, rel=1e-14)


def test_a_tensor_of_ones_has_no_closed_form() -> None:
    def ones(x: Tensor) -> Tensor:
        return torch.ones_like(x)

    assert closed_form(ones) is None
