"""The plane quadrature for every activation: its ends, Price's theorem, and a quadrature of another kind."""

import math

import pytest
import torch
from numpy.polynomial.hermite_e import hermegauss

from vanishgrad.choices.activation import function_of
from vanishgrad.description import choices_in
from vanishgrad.theory.correlation import pair_expectation, product_expectation, sphere_radii
from vanishgrad.theory.gaussian import Function, derivative, expectation, in_float64
from vanishgrad.theory.mean_field import first_moment, second_moment

FUNCTIONS = {name: function_of(kind()) for name, kind in choices_in("act").items()}
every_activation = pytest.mark.parametrize("f", list(FUNCTIONS.values()), ids=list(FUNCTIONS))


@every_activation
@pytest.mark.parametrize("q", [0.01, 1.0, 40.0])
def test_the_ends_are_moments_of_one_coordinate(f: Function, q: float) -> None:
    plain = in_float64(f)
    square = second_moment(f, q)
    assert product_expectation(f, q, 1.0) == pytest.approx(square, rel=1e-10)
    assert product_expectation(f, q, 0.0) == pytest.approx(first_moment(f, q) ** 2, abs=1e-10 * square)
    mirrored = expectation(lambda x: plain(x) * plain(-x), q)
    assert product_expectation(f, q, -1.0) == pytest.approx(mirrored, abs=1e-10 * square)


@every_activation
@pytest.mark.parametrize("c", [-0.5, 0.3, 0.9])
def test_prices_theorem_links_products_and_slopes(f: Function, c: float) -> None:
    """dE[f f]/dc = q E[f' f'] (Price 1958), by differences of fourth order."""
    q, step = 1.7, 2e-3
    at = {n: product_expectation(f, q, c + n * step) for n in (-2, -1, 1, 2)}
    change = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * step)
    slopes = product_expectation(derivative(f), q, c)
    assert change == pytest.approx(q * slopes, rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "gelu", "silu", "mish", "softplus"])
def test_smooth_functions_agree_with_gauss_hermite(name: str) -> None:
    q, c = 0.8, 0.6
    f = in_float64(FUNCTIONS[name])
    nodes, weights = (torch.from_numpy(values) for values in hermegauss(80))
    weights = weights / weights.sum()
    u, v = nodes[:, None], nodes[None, :]
    values = f(math.sqrt(q) * u.expand(80, 80)) * f(math.sqrt(q) * (c * u + math.sqrt(1 - c * c) * v))
    expected = float(weights @ values @ weights)
    assert product_expectation(FUNCTIONS[name], q, c) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dimensions", [3, 4, 9, 63])
def test_two_coordinates_of_a_sphere_have_its_moments(dimensions: int) -> None:
    """E[x^2 y^2] of orthogonal coordinates on the sphere of radius sqrt(D): D / (D + 2)."""
    radii = sphere_radii(dimensions)
    assert pair_expectation(lambda a, b: a * a, 0.0, radii) == pytest.approx(1, rel=1e-10)
    product = pair_expectation(lambda a, b: a * a * b * b, 0.0, radii)
    assert product == pytest.approx(dimensions / (dimensions + 2), rel=1e-10)
    assert pair_expectation(lambda a, b: a * b, -0.3, radii) == pytest.approx(-0.3, rel=1e-10)
