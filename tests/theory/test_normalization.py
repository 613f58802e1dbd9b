"""Normalization: published growth factors, limits, and random networks with small groups and batches."""

import math

import pytest
import torch
from torch import nn

from vanishgrad.theory.gaussian import Function
from vanishgrad.theory.mean_field import first_moment, second_moment, slope_moment
from vanishgrad.theory.normalization import (
    batch_norm_first,
    batch_norm_last,
    centred_product,
    group_norm_first,
    norm_first,
    norm_last,
    small_batch,
    sphere_expectation,
)
from vanishgrad.theory.stack import PassageMap, Signal, plain, stack


def called(value: object) -> str:
    """A name for a test that is the same in every process."""
    return getattr(value, "__name__", str(value))


TINY = 1e-12


def growth(passing: PassageMap, variance_w: float = 2.0, variance_b: float = 0.0) -> float:
    """The factor on the squared gradient per layer after a few layers."""
    *_, last = stack(Signal(1.0, 0.0), [lambda square: (variance_w, variance_b)] * 6, passing)
    return last.passage.gain * variance_w


@pytest.mark.parametrize("batch", [4, 5, 8, 64, 1437])
@pytest.mark.parametrize("variance_w", [0.3, 2.0])
def test_linear_batch_norm_grows_by_the_published_factor(batch: int, variance_w: float) -> None:
    """(B - 2) / (B - 3) per layer whatever the weights' variance (Yang et al. 2019, section 4)."""
    found = growth(batch_norm_first(nn.Identity(), batch, TINY), variance_w)
    assert found == pytest.approx((batch - 2) / (batch - 3), rel=1e-8)


def test_linear_batch_norm_after_the_activation_agrees_to_first_order() -> None:
    """(B - 2) / (B - 3) = 1 + 1 / B + ..."""
    assert small_batch(nn.Identity(), 0.7) == pytest.approx(1, rel=1e-10)


def test_relu_batch_norm_grows_by_pi_over_pi_minus_1_in_large_batches() -> None:
    """Yang et al. 2019, section 4."""
    for batch, tolerance in ((10_000, 1e-3), (1_000_000, 1e-5)):
        found = growth(batch_norm_first(nn.ReLU(), batch, TINY))
        assert found == pytest.approx(math.pi / (math.pi - 1), rel=tolerance)


@pytest.mark.parametrize("f", [torch.tanh, nn.GELU(), nn.SELU(), torch.erf], ids=called)
def test_large_batches_give_the_mean_squared_slope_over_the_variance(f: Function) -> None:
    variance = second_moment(f, 1.0) - first_moment(f, 1.0) ** 2
    for passing in (batch_norm_first, batch_norm_last):
        assert growth(passing(f, 200_000, TINY), 1.0) == pytest.approx(
            slope_moment(f, 1.0) / variance, rel=1e-4
        )


def test_what_inputs_share_does_not_matter_to_batch_norm_before_the_activation() -> None:
    passing = batch_norm_first(nn.ReLU(), 64, TINY)
    assert passing(Signal(10.0, 9.9)).gain == pytest.approx(passing(Signal(0.1, 0.0)).gain, rel=1e-12)


@pytest.mark.parametrize("f, shared", [
    (nn.ReLU(), 0.0), (nn.ReLU(), 0.3), (torch.tanh, 0.3), (torch.tanh, 0.8),
], ids=called)  # fmt: skip
def test_batch_norm_after_the_activation_agrees_with_random_units(f: Function, shared: float) -> None:
    """10,000 units over a batch of 1,024, whose values share the part sqrt(p) u of each unit.

    Units most of whose values relu cuts off leave more to be said than the limit of large batches: 2 %.
    """
    generator = torch.Generator().manual_seed(0)
    u, z = torch.randn(10, 1000, 1, generator=generator), torch.randn(10, 1000, 1024, generator=generator)
    x = (math.sqrt(shared) * u + math.sqrt(1 - shared) * z).requires_grad_()
    y = nn.functional.layer_norm(f(x), (1024,), eps=1e-5)
    (gradient,) = torch.autograd.grad(y, x, torch.randn(y.shape, generator=generator))
    passage = batch_norm_last(f, 1024, 1e-5)(Signal(1.0, shared))
    parts, squares = gradient.square().mean((1, 2)), y.detach().square().mean((1, 2))
    for found, expected in ((parts, passage.gain), (squares, passage.signal.square)):
        error = 4 * float(found.std()) / math.sqrt(10) + 0.02 * expected
        assert float(found.mean()) == pytest.approx(expected, abs=error)


@pytest.mark.parametrize("passing", [
    norm_first(nn.ReLU(), TINY), norm_last(nn.ReLU(), TINY, centred=False),
])  # fmt: skip
def test_relu_keeps_its_gradients_under_rms_norm(passing: PassageMap) -> None:
    """E[f'^2] = E[f^2] / q: critical without biases, at any scale of the weights."""
    for variance_w in (0.1, 2.0, 50.0):
        assert growth(passing, variance_w) == pytest.approx(1, rel=1e-9)


def test_relu_grows_under_layer_norm_after_the_activation_as_under_batch_norm() -> None:
    found = growth(norm_last(nn.ReLU(), TINY, centred=True))
    assert found == pytest.approx(math.pi / (math.pi - 1), rel=1e-9)


def test_biases_slow_the_growth_down() -> None:
    assert growth(norm_first(torch.tanh, TINY), 1.0, 0.5) < growth(norm_first(torch.tanh, TINY), 1.0)


def test_a_large_group_is_a_layer() -> None:
    """But for terms of the order 1 / size."""
    wide = growth(group_norm_first(nn.GELU(), 100_000, TINY))
    assert wide == pytest.approx(growth(norm_first(nn.GELU(), TINY)), rel=1e-4)


def test_vanished_signals_are_not_blown_up_beyond_epsilon() -> None:
    passage = norm_first(torch.tanh, 1e-5)(Signal(1e-9))
    assert passage.signal.square == pytest.approx(1e-4, rel=1e-3)
    assert passage.gain == pytest.approx(1e5, rel=1e-3)


def test_dropout_multiplies_lengths_and_gradients_alike() -> None:
    without, dropped = (plain(torch.tanh, noise)(Signal(1.3)) for noise in (1.0, 2.0))
    assert dropped.signal.square == 2 * without.signal.square
    assert dropped.gain == 2 * without.gain


@pytest.mark.parametrize("dimensions, moment", [(2, 3 / 2), (3, 9 / 5), (9, 27 / 11), (10**6, 3.0)])
def test_coordinates_of_a_sphere_have_its_fourth_moment(dimensions: int, moment: float) -> None:
    """E[x^4] = 3 D / (D + 2) on the sphere of radius sqrt(D)."""
    assert sphere_expectation(lambda x: x**2, dimensions) == pytest.approx(1, rel=1e-11)
    assert sphere_expectation(lambda x: x**4, dimensions) == pytest.approx(moment, rel=1e-5)


def test_normalized_values_repel_each_other() -> None:
    """The sum over a batch of values of mean 0 is 0: E[x_a x_b] = -1 / (B - 1)."""
    for values in (4, 7, 300):
        assert centred_product(lambda x: x, values) == pytest.approx(-1 / (values - 1), rel=1e-10)


@pytest.mark.parametrize("size", [5, 8])
@pytest.mark.parametrize("f", [nn.ReLU(), torch.tanh], ids=["relu", "tanh"])
def test_small_groups_agree_with_random_ones(f: Function, size: int) -> None:
    """40,000 groups: the squared gradient at x of random gradients at y, and the mean square of y.

    E[1 / s^4] exists from size 6 on; for 5 the error is estimated from the spread over ten parts.
    """
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(10, 40_000, size, generator=generator, dtype=torch.float64).requires_grad_()
    y = f(nn.functional.layer_norm(x, (size,), eps=0.0))
    (gradient,) = torch.autograd.grad(y, x, torch.randn(y.shape, generator=generator, dtype=torch.float64))
    parts, squares = gradient.square().mean((1, 2)), y.detach().square().mean((1, 2))
    passage = group_norm_first(f, size, 0.0)(Signal(1.0))
    for found, expected in ((parts, passage.gain), (squares, passage.signal.square)):
        error = float(found.std()) / math.sqrt(10)
        assert float(found.mean()) == pytest.approx(expected, abs=4 * error)


@pytest.mark.parametrize("batch", [6, 12])
@pytest.mark.parametrize("f", [nn.ReLU(), torch.tanh], ids=["relu", "tanh"])
def test_small_batches_agree_with_random_ones(f: Function, batch: int) -> None:
    """40,000 units, gradients at y that sum to 0 over the batch, as a batch norm above makes them."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(10, 40_000, batch, generator=generator, dtype=torch.float64).requires_grad_()
    y = f(nn.functional.layer_norm(x, (batch,), eps=0.0))
    g = torch.randn(y.shape, generator=generator, dtype=torch.float64)
    g = (g - g.mean(2, keepdim=True)) * math.sqrt(batch / (batch - 1))
    (gradient,) = torch.autograd.grad(y, x, g)
    passage = batch_norm_first(f, batch, 0.0)(Signal(1.0, 0.0))
    parts = gradient.square().mean((1, 2))
    assert float(parts.mean()) == pytest.approx(passage.gain, abs=4 * float(parts.std()) / math.sqrt(10))
