"""The gradient slope in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vanishgrad.diagnosis.layers import decades_across, decades_through, gradient_slope, log_slope

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize("slope", [0.62, 0.0, -0.75])
@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_a_geometric_profile_has_its_own_slope_at_any_scale(slope: float, scale: float) -> None:
    layer = np.arange(1, 22)
    norm = scale * 10.0 ** (slope * layer)
    assert gradient_slope(layer, norm) == pytest.approx(slope, abs=1e-9)
    assert decades_across(layer, norm) == pytest.approx(19 * slope, abs=1e-8)


def test_a_profile_that_is_no_line_agrees_with_numpy() -> None:
    layer = np.arange(1, 12)
    norm = np.random.default_rng(0).uniform(0.1, 9, 11)
    assert gradient_slope(layer, norm) == pytest.approx(np.polyfit(layer[:-1], np.log10(norm[:-1]), 1)[0])


def test_the_output_layer_is_no_hidden_layer() -> None:
    assert gradient_slope([1, 2, 3], [1.0, 10.0, 1e9]) == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [0.0, INF, NAN])
def test_zeros_and_what_is_not_finite_are_left_out(bad: float) -> None:
    assert gradient_slope([1, 2, 3, 4], [1.0, bad, 100.0, 5.0]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "layer, norm",
    [
        ([], []),
        ([1], [1.0]),
        ([1, 2], [1.0, 2.0]),
        ([1, 2, 3], [0.0, 1.0, 1.0]),
        ([1, 2, 3], [NAN, NAN, NAN]),
    ],
)
def test_without_two_hidden_layers_there_is_no_slope(layer: list[int], norm: list[float]) -> None:
    assert math.isnan(gradient_slope(layer, norm))
    assert math.isnan(decades_across(layer, norm))


@pytest.mark.parametrize("slope", [0.3, -0.3])
def test_through_time_every_place_counts_and_underflow_does_not_shorten_the_way(slope: float) -> None:
    t = np.arange(1, 101)
    norm = 10.0 ** (slope * t)
    assert log_slope(t, norm) == pytest.approx(slope)
    assert decades_through(t, norm) == pytest.approx(99 * slope)
    assert decades_through(t, np.where(t < 40, 0.0, norm)) == pytest.approx(99 * slope)


def test_one_time_step_has_no_slope() -> None:
    assert math.isnan(decades_through([1], [1.0]))
    assert math.isnan(decades_through([], []))
