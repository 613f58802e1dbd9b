"""Fixed points of the length map and chi_1 against closed forms."""

import math

import pytest
import torch
from torch import nn

from vanishgrad.theory.critical import critical_point
from vanishgrad.theory.mean_field import chi_1, length_map, q_star, slope_moment


def test_one_step_of_the_length_map_adds_the_bias_variance() -> None:
    assert length_map(nn.ReLU(), 3.0, sigma_w=2.0, sigma_b=0.5) == pytest.approx(4 * 1.5 + 0.25, rel=1e-13)


@pytest.mark.parametrize(
    ("sigma_w", "sigma_b"), [(1.0, 0.5), (1.4, 1e-3), (0.0, 0.3), (1.2, 3.0), (1.0, 1e-7)]
)
def test_relu_fixed_point_is_the_geometric_series(sigma_w: float, sigma_b: float) -> None:
    expected = sigma_b**2 / (1 - sigma_w**2 / 2)
    assert q_star(nn.ReLU(), sigma_w, sigma_b) == pytest.approx(expected, rel=1e-10, abs=0)


@pytest.mark.parametrize(("sigma_b", "start"), [(0.1, 1.0), (1e-3, 1.0), (1.0, 1e3)])
def test_relu_lengths_with_biases_grow_without_bound_from_sqrt_2_on(sigma_b: float, start: float) -> None:
    assert q_star(nn.ReLU(), math.sqrt(2), sigma_b, start) == math.inf
    assert q_star(nn.ReLU(), 1.5, sigma_b, start) == math.inf


@pytest.mark.parametrize("f", [nn.Identity(), nn.LeakyReLU(0.1), nn.PReLU(init=0.3)])
def test_the_slowest_growth_is_not_mistaken_for_rest(f: nn.Module) -> None:
    assert q_star(f, slope_moment(f, 0.0) ** -0.5, sigma_b=1e-5) == math.inf


@pytest.mark.parametrize("start", [1e-3, 1.0, 50.0])
def test_every_length_is_fixed_for_critical_relu(start: float) -> None:
    assert q_star(nn.ReLU(), math.sqrt(2), 0.0, start) == start


@pytest.mark.parametrize("f", [torch.tanh, nn.Softsign(), nn.ELU(), nn.Identity()])
def test_lengths_fade_below_the_critical_weights(f: torch.nn.Module) -> None:
    assert q_star(f, 0.9, 0.0) == 0.0


def test_tanh_fades_on_the_edge_of_chaos_and_lives_above_it() -> None:
    assert q_star(torch.tanh, 1.0, 0.0) == 0.0
    leading_order = (1.01**2 - 1) / 2  # E[tanh^2] = q - 2 q^2 + ...
    assert q_star(torch.tanh, 1.01, 0.0) == pytest.approx(leading_order, rel=0.1)


@pytest.mark.parametrize(("sigma_w", "sigma_b"), [(1.0, 0.1), (2.0, 0.0), (5.0, 1.0), (0.5, 1e-4)])
@pytest.mark.parametrize("start", [1e-2, 1.0, 300.0])
def test_erf_fixed_point_solves_the_closed_length_map(sigma_w: float, sigma_b: float, start: float) -> None:
    q = q_star(torch.erf, sigma_w, sigma_b, start)
    image = sigma_w**2 * 2 / math.pi * math.asin(2 * q / (1 + 2 * q)) + sigma_b**2
    assert q > 0
    assert image == pytest.approx(q, rel=1e-9)


def test_erf_chi_1_has_its_closed_form() -> None:
    expected = 1.5**2 * 4 / math.pi / math.sqrt(1 + 4 * 0.7)
    assert chi_1(torch.erf, 1.5, 0.7) == pytest.approx(expected, rel=1e-12)


def test_chi_1_of_a_faded_signal_counts_both_sides_of_the_kink() -> None:
    assert chi_1(nn.ReLU(), math.sqrt(2), 0.0) == pytest.approx(1, rel=1e-13)


def test_tanh_is_ordered_below_and_chaotic_above_the_edge() -> None:
    below, above = (chi_1(torch.tanh, w, q_star(torch.tanh, w, 0.05)) for w in (0.9, 2.0))
    assert below < 1 < above


@pytest.mark.parametrize("f, start, expected", [
    (nn.GELU(), 3.6, 3.56155), (nn.GELU(), 50.0, 3.56155), (nn.GELU(), 3.5, 3.03498),
    (nn.Mish(), 1.0, 1.67017), (nn.Mish(), 1.66, 1.67017), (nn.Mish(), 1.7, math.inf),
], ids=str)  # fmt: skip
def test_half_stable_points_hold_what_comes_from_their_attracting_side(
    f: nn.Module, start: float, expected: float
) -> None:
    """gelu attracts from above (Roberts et al. 2022, section 5.3.4), and is left below to the next point."""
    assert q_star(f, *critical_point(f), start) == pytest.approx(expected, abs=1e-4)
