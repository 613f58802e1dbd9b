"""Correlation maps, their fixed points and the depth scales, against closed forms and published values."""

import math
from itertools import pairwise

import pytest
import torch
from numpy import array
from torch import nn

from vanishgrad.theory.correlation import (
    c_star,
    chi_c,
    correlation_map,
    depth_scale,
    phase,
    xi_c,
    xi_grad,
    xi_q,
)
from vanishgrad.theory.critical import chi_grid, critical_line, critical_point, normalized_chi_grid
from vanishgrad.theory.gaussian import Function
from vanishgrad.theory.mean_field import chi_1, chi_q, length_map, q_star


def called(value: object) -> str:
    """A name for a test that is the same in every process."""
    return getattr(value, "__name__", str(value))


@pytest.mark.parametrize("f, sigma_w, sigma_b", [
    (torch.tanh, 0.8, 0.3), (torch.erf, 1.5, 0.2), (nn.GELU(), 1.2, 0.4), (nn.ReLU(), 1.0, 0.5),
], ids=called)  # fmt: skip
def test_the_slope_of_the_correlation_map_at_one_is_chi_1(
    f: Function, sigma_w: float, sigma_b: float
) -> None:
    q = q_star(f, sigma_w, sigma_b)
    assert correlation_map(f, 1.0, q, sigma_w, sigma_b) == pytest.approx(1, rel=1e-10)
    assert chi_c(f, 1.0, q, sigma_w, sigma_b) == pytest.approx(chi_1(f, sigma_w, q), rel=1e-9)


def test_relu_correlations_follow_the_arc_cosine() -> None:
    """Critical relu: C(c) = (sqrt(1 - c^2) + c (pi - arccos c)) / pi (Cho and Saul 2009, eq. 6)."""
    for c in (0.0, 0.5, 0.99):
        expected = (math.sqrt(1 - c * c) + c * (math.pi - math.acos(c))) / math.pi
        assert correlation_map(nn.ReLU(), c, 1.0, math.sqrt(2), 0.0) == pytest.approx(expected, rel=1e-12)


CHAOTIC = [(1.5, 0.05), (2.5, 0.3), (4.0, 0.0), (1.3, 0.01)]


@pytest.mark.parametrize("sigma_w, sigma_b", CHAOTIC)
@pytest.mark.parametrize("f", [torch.tanh, torch.erf], ids=["tanh", "erf"])
def test_c_star_is_the_fixed_point_that_attracts_from_both_sides(
    f: Function, sigma_w: float, sigma_b: float
) -> None:
    q = q_star(f, sigma_w, sigma_b)
    found = c_star(f, q, sigma_w, sigma_b)
    assert 0 <= found < 1
    assert correlation_map(f, found, q, sigma_w, sigma_b) == pytest.approx(found, abs=1e-10)
    assert chi_c(f, found, q, sigma_w, sigma_b) < 1 < chi_1(f, sigma_w, q)
    below, above = ([found + share * (end - found) for share in (0.1, 0.5, 0.95)] for end in (0.0, 1.0))
    assert all(correlation_map(f, c, q, sigma_w, sigma_b) >= c - 1e-12 for c in below)
    assert all(correlation_map(f, c, q, sigma_w, sigma_b) < c for c in above)


@pytest.mark.parametrize("f, sigma_w, sigma_b", [
    (torch.tanh, 0.8, 0.3), (nn.ReLU(), 1.2, 0.3), (nn.Sigmoid(), 1.0, 0.1), (torch.tanh, 1.0, 0.0),
], ids=called)  # fmt: skip
def test_all_inputs_become_alike_where_chi_1_is_at_most_1(
    f: Function, sigma_w: float, sigma_b: float
) -> None:
    assert c_star(f, q_star(f, sigma_w, sigma_b) or 1e-12, sigma_w, sigma_b) == 1.0


def test_dropout_leaves_no_two_inputs_alike_and_no_critical_point() -> None:
    """Schoenholz et al. 2017, section 4: with noise c = 1 is no fixed point, and xi_c is finite."""
    noise, q = 1 / 0.9, 1.0
    assert correlation_map(nn.ReLU(), 1.0, q, math.sqrt(2 / noise), 0.0, noise) == pytest.approx(1 / noise)
    found = c_star(nn.ReLU(), q, math.sqrt(2 / noise), 0.0, noise)
    assert found < 1 / noise
    assert correlation_map(nn.ReLU(), found, q, math.sqrt(2 / noise), 0.0, noise) == pytest.approx(found)
    assert 0 < xi_c(nn.ReLU(), q, math.sqrt(2 / noise), 0.0, noise) < 20


def test_xi_c_is_where_differences_of_correlation_have_shrunk_by_e() -> None:
    sigma_w, sigma_b = 0.9, 0.2
    q = q_star(torch.tanh, sigma_w, sigma_b)
    c, gaps = 0.9, []
    for _ in range(20):
        c = correlation_map(torch.tanh, c, q, sigma_w, sigma_b)
        gaps.append(1 - c)
    measured = 6 / math.log(gaps[10] / gaps[16])
    assert xi_c(torch.tanh, q, sigma_w, sigma_b) == pytest.approx(measured, rel=1e-3)


def test_xi_q_is_where_differences_of_length_have_shrunk_by_e() -> None:
    sigma_w, sigma_b = 1.5, 0.3
    q = fixed = q_star(torch.tanh, sigma_w, sigma_b)
    q, gaps = 1.5 * q, []
    for _ in range(30):
        q = length_map(torch.tanh, q, sigma_w, sigma_b)
        gaps.append(abs(q - fixed))
    measured = 8 / math.log(gaps[8] / gaps[16])
    assert xi_q(torch.tanh, sigma_w, fixed) == pytest.approx(measured, rel=1e-2)


@pytest.mark.parametrize("f", [torch.tanh, nn.GELU(), nn.SELU(), nn.ReLU()], ids=called)
@pytest.mark.parametrize("q", [0.05, 2.0])
def test_chi_q_is_the_slope_of_the_length_map(f: Function, q: float) -> None:
    step = 1e-4 * q
    expected = (length_map(f, q + step, 1.3, 0.1) - length_map(f, q - step, 1.3, 0.1)) / (2 * step)
    assert chi_q(f, 1.3, q) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("f, sigma_w, sigma_b", [(torch.tanh, 0.7, 0.2), (torch.tanh, 2.0, 0.1)], ids=called)
def test_xi_grad_is_where_squared_gradients_have_changed_by_e(
    f: Function, sigma_w: float, sigma_b: float
) -> None:
    q = q_star(f, sigma_w, sigma_b)
    layers = xi_grad(f, sigma_w, q)
    assert abs(math.log(chi_1(f, sigma_w, q))) * layers == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("factor, expected", [(math.e, 1.0), (1 / math.e, 1.0), (1.0, math.inf), (0.0, 0.0)])
def test_depth_scales_at_their_ends(factor: float, expected: float) -> None:
    assert depth_scale(factor) == pytest.approx(expected)


@pytest.mark.parametrize("chi, name", [(0.9, "ordered"), (1 + 1e-9, "critical"), (1.1, "chaotic")])
def test_phases(chi: float, name: str) -> None:
    assert phase(chi) == name


@pytest.mark.parametrize("sigma_w_squared, sigma_b_squared", [(1.76, 0.05), (1.05, 2.01e-5)])
def test_published_points_of_the_critical_line_of_tanh(
    sigma_w_squared: float, sigma_b_squared: float
) -> None:
    """Schoenholz et al. 2017, fig. 5 (1.76 at 0.05); Pennington et al. 2017, section 3 (1.05 at 2.01e-5)."""
    sigma_w, sigma_b = math.sqrt(sigma_w_squared), math.sqrt(sigma_b_squared)
    assert chi_1(torch.tanh, sigma_w, q_star(torch.tanh, sigma_w, sigma_b)) == pytest.approx(1, abs=5e-3)


def test_the_critical_line_of_tanh_begins_at_one_without_bias_and_bends_outwards() -> None:
    """Poole et al. 2016, fig. 1: from (1, 0) to larger weights with larger biases."""
    line = critical_line(torch.tanh, [1e-6, 0.01, 0.1, 1.0])
    assert line[0] == pytest.approx((1.0, 0.0), abs=2e-6)
    assert all(a.sigma_w < b.sigma_w and a.sigma_b < b.sigma_b for a, b in pairwise(line))
    for sigma_w, sigma_b in line[1:]:
        assert chi_1(torch.tanh, sigma_w, q_star(torch.tanh, sigma_w, sigma_b)) == pytest.approx(1, rel=1e-8)


def test_the_critical_line_of_erf_has_its_closed_form() -> None:
    for q in (0.1, 1.0, 5.0):
        (point,) = critical_line(torch.erf, [q])
        variance_w = math.pi / 4 * math.sqrt(1 + 4 * q)
        variance_b = q - variance_w * 2 / math.pi * math.asin(2 * q / (1 + 2 * q))
        assert (point.sigma_w**2, point.sigma_b**2) == pytest.approx((variance_w, variance_b), rel=1e-12)


def test_sigmoid_is_critical_only_far_away() -> None:
    line = critical_line(nn.Sigmoid(), [10.0**n for n in range(-3, 5)])
    assert min(point.sigma_w for point in line) > 8
    assert critical_point.__module__ == "vanishgrad.theory.critical"


def test_selus_self_normalizing_point_lies_in_the_chaotic_phase() -> None:
    """At its fixed point q = 1 with sigma_w = 1 (Klambauer et al. 2017) chi_1 is 1.0716."""
    assert length_map(nn.SELU(), 1.0, 1.0, 0.0) == pytest.approx(1, abs=1e-6)
    assert q_star(nn.SELU(), 1.0, 0.0, start=0.5) == pytest.approx(1, abs=1e-5)
    assert chi_1(nn.SELU(), 1.0, 1.0) == pytest.approx(1.0716, abs=1e-3)


@pytest.mark.parametrize("f", [torch.tanh, nn.GELU(), nn.ReLU(), nn.Sigmoid()], ids=called)
def test_the_grid_agrees_with_the_fixed_points(f: Function) -> None:
    sigma_w, sigma_b = array([0.6, 1.1, 1.9]), array([0.05, 0.7])
    grid = chi_grid(f, sigma_w, sigma_b)
    for row, b in enumerate(sigma_b):
        for column, w in enumerate(sigma_w):
            q = min(q_star(f, float(w), float(b)), 1e6)
            assert grid[row, column] == pytest.approx(chi_1(f, float(w), q), rel=5e-3)


def test_the_grid_with_normalization_is_flat_along_the_weights_without_bias() -> None:
    grid = normalized_chi_grid(torch.tanh, array([0.5, 1.0, 2.0]), array([0.0, 0.5]))
    assert grid[0] == pytest.approx([grid[0, 0]] * 3)
    assert (grid[1] < grid[0]).all()
