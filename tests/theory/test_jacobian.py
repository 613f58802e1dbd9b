"""Singular values of random deep networks against free probability, and scatter against Hanin and Nica."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from vanishgrad.theory.jacobian import relu_density, spectrum
from vanishgrad.theory.mean_field import chi_1, layer_variance, scatter, slope_ratio

WIDTH = 512


def jacobian(depth: int, orthogonal: bool, f: str, seed: int) -> Tensor:
    """D_L W_L ... D_1 W_1 of a network with critical weights and inputs of length 1."""
    generator = torch.Generator().manual_seed(seed)
    gain = math.sqrt(2) if f == "relu" else 1.0
    x, product = torch.randn(WIDTH, generator=generator), torch.eye(WIDTH)
    for _ in range(depth):
        w = torch.randn(WIDTH, WIDTH, generator=generator) / math.sqrt(WIDTH)
        if orthogonal:
            q, r = torch.linalg.qr(w)
            w = q * r.diagonal().sign()
        z = gain * w @ x
        slope = (z > 0).float() if f == "relu" else 1 - z.tanh() ** 2
        x = z.relu() if f == "relu" else z.tanh()
        product = slope[:, None] * (gain * w @ product)
    return product


@pytest.mark.parametrize("orthogonal", [False, True])
def test_relu_spectra_have_the_mean_and_variance_of_pennington(orthogonal: bool) -> None:
    """chi^L, and L (2 - 1 - s_1) relative to its square: 2 L for Gaussian, L for orthogonal weights."""
    depth = 4
    found = spectrum([(1.0, slope_ratio(torch.nn.ReLU(), 1.0))] * depth, orthogonal)
    assert found.log_mean == 0
    assert found.relative_variance == pytest.approx(depth if orthogonal else 2 * depth)
    means, variances = [], []
    for seed in range(4):
        squared = torch.linalg.svdvals(jacobian(depth, orthogonal, "relu", seed)).double() ** 2
        means.append(float(squared.mean()))
        variances.append(float(squared.var() / squared.mean() ** 2))
    # log ||J||_F^2 scatters by sqrt(2 depth) / width^(1/2) at the most, through the share of active units
    assert np.mean(means) == pytest.approx(1, abs=4 * math.sqrt(depth / WIDTH / 4))
    assert np.mean(variances) == pytest.approx(found.relative_variance, rel=0.1)


def test_tanh_needs_orthogonal_weights_for_an_even_spectrum() -> None:
    lengths = [1.0, 0.394]
    factors = [(chi_1(torch.tanh, 1.0, q), slope_ratio(torch.tanh, q)) for q in lengths]
    found = {orthogonal: spectrum(factors, orthogonal) for orthogonal in (False, True)}
    assert found[False].relative_variance == pytest.approx(found[True].relative_variance + 2)
    squared = torch.linalg.svdvals(jacobian(2, True, "tanh", 0)).double() ** 2
    assert math.log(float(squared.mean())) == pytest.approx(found[True].log_mean, abs=0.05)
    assert float(squared.var() / squared.mean() ** 2) == pytest.approx(
        found[True].relative_variance, rel=0.12
    )


def test_one_linear_gaussian_layer_is_marchenko_and_pastur() -> None:
    x = np.array([0.3, 1.0, 2.5, 3.5])
    expected = np.sqrt((4 - x) / x) / (2 * np.pi)
    assert relu_density(x, 1, orthogonal=False, active=1.0) == pytest.approx(expected, rel=5e-3)


def test_two_relu_layers_with_orthogonal_weights_have_an_arcsine_law() -> None:
    """z M (1 + M) = (1 + 2 M)^2 gives M = (sqrt(z / (z - 4)) - 1) / 2: half of an arcsine law on [0, 4]."""
    x = np.array([0.1, 1.0, 2.0, 3.5])
    expected = 1 / (2 * np.pi * np.sqrt(x * (4 - x)))
    assert relu_density(x, 2, orthogonal=True) == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("depth, orthogonal", [(2, False), (4, True), (4, False)])
def test_densities_of_relu_networks_count_the_singular_values_of_random_ones(
    depth: int, orthogonal: bool
) -> None:
    x = np.exp(np.linspace(-6, 4, 400))
    density = relu_density(x, depth, orthogonal)
    found = [torch.linalg.svdvals(jacobian(depth, orthogonal, "relu", seed)) for seed in range(2)]
    squared = torch.cat(found).double().numpy() ** 2
    assert np.trapezoid(density * x, x) == pytest.approx(1, rel=0.05)  # the mean
    for low, high in ((0.02, 0.5), (0.5, 2.0), (2.0, 8.0)):
        part = (x >= low) & (x <= high)
        share = np.mean((squared > low) & (squared < high))
        assert share == pytest.approx(np.trapezoid(density[part], x[part]), abs=0.03)


@pytest.mark.parametrize("f, ratio", [("relu", 2.0), ("linear", 1.0)])
def test_gradients_of_narrow_networks_scatter_as_hanin_and_nica_say(f: str, ratio: float) -> None:
    """1,200 networks of width 64 and depth 10: 5 / width per layer for relu, 2 / width for linear ones.

    The theorem gives the leading order in depth / width, 0.16 here; the standard deviation is known to 2 %.
    """
    width, depth, count = 64, 10, 1200
    generator = torch.Generator().manual_seed(0)
    logs = torch.cat([_log_growth(f, width, depth, count // 6, generator) for _ in range(6)])
    found = scatter([layer_variance(ratio, width)] * depth)
    assert float(logs.std()) == pytest.approx(found.deviation, rel=0.1)
    assert float(logs.mean()) == pytest.approx(
        found.shift, abs=0.1 * found.deviation + 0.1 * abs(found.shift)
    )


def _log_growth(f: str, width: int, depth: int, count: int, generator: torch.Generator) -> Tensor:
    """log10 of ||delta_1|| / ||delta_L|| of random networks, `(count,)`."""
    gain = math.sqrt(2) if f == "relu" else 1.0
    x, steps = torch.randn(count, width, 1, generator=generator), []
    for _ in range(depth):
        w = gain * torch.randn(count, width, width, generator=generator) / math.sqrt(width)
        z = w @ x
        steps.append((w, (z > 0).float() if f == "relu" else torch.ones_like(z)))
        x = steps[-1][1] * z
    start = delta = torch.randn(count, width, 1, generator=generator)
    for w, slope in steps[::-1]:
        delta = w.transpose(1, 2) @ (slope * delta)
    return (delta.square().sum((1, 2)) / start.square().sum((1, 2))).log10() / 2


def test_orthogonal_linear_networks_do_not_scatter() -> None:
    assert layer_variance(1.0, 64, orthogonal=True) == 0
    assert layer_variance(2.0, 64, orthogonal=True) < layer_variance(2.0, 64)
