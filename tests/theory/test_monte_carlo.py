"""Every activation: the theory against random networks of width 512.

Four networks of five layers, 32 inputs in pairs of correlation 0.6, and as many random gradients at the top.
A squared gradient's factor per layer scatters by (3 r - 1) / width for one input (r = E[f'^4] / E[f'^2]^2,
Hanin and Nica 2020). Different networks are independent, and so are the gradients; what inputs share are the
weights, which leaves at least 16 independent values in all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from vanishgrad.choices.activation import function_of
from vanishgrad.description import choices_in
from vanishgrad.theory.correlation import correlation_map
from vanishgrad.theory.gaussian import Function, in_float64
from vanishgrad.theory.mean_field import chi_1, layer_variance, length_map, slope_ratio

WIDTH, DEPTH, NETWORKS, INPUTS, INDEPENDENT = 512, 5, 4, 32, 16
SIGMA_W, SIGMA_B, CORRELATION = 1.3, 0.4, 0.6
FUNCTIONS = {name: function_of(kind()) for name, kind in choices_in("act").items()}


class Measured(NamedTuple):
    """By layer, means over networks and inputs: z^2, the correlation of pairs, and factors on ||delta||^2."""

    lengths: list[float]
    correlations: list[float]
    factors: list[float]


@pytest.fixture(scope="module")
def networks() -> list[list[tuple[Tensor, Tensor]]]:
    """Weights and biases, the same for all activations."""
    generator = torch.Generator().manual_seed(0)
    return [
        [
            (
                SIGMA_W / math.sqrt(WIDTH) * torch.randn(WIDTH, WIDTH, generator=generator),
                SIGMA_B * torch.randn(WIDTH, generator=generator),
            )
            for _ in range(DEPTH)
        ]
        for _ in range(NETWORKS)
    ]


def pairs(generator: torch.Generator) -> Tensor:
    """Inputs of length 1, `(INPUTS, WIDTH)`, the second half correlated with the first."""
    a, b = torch.randn(2, INPUTS // 2, WIDTH, generator=generator)
    x = torch.cat([a, CORRELATION * a + math.sqrt(1 - CORRELATION**2) * b])
    return x / x.square().mean(1, keepdim=True).sqrt()


def measure(f: Function, networks: list[list[tuple[Tensor, Tensor]]]) -> Measured:
    generator = torch.Generator().manual_seed(1)
    found = [_measure(f, network, generator) for network in networks]
    return Measured(*(torch.tensor(rows).mean(0).tolist() for rows in zip(*found, strict=True)))


def _measure(f: Function, network: list[tuple[Tensor, Tensor]], generator: torch.Generator) -> Measured:
    y, steps, f = pairs(generator), list[tuple[Tensor, Tensor]](), in_float64(f)
    for weight, bias in network:
        z = (y.detach() @ weight.t() + bias).requires_grad_()
        y = f(z.double()).float()
        steps.append((z, y))
    lengths = [float(z.detach().square().mean()) for z, _ in steps]
    correlations = [_correlation(z.detach()) for z, _ in steps]
    return Measured(lengths, correlations, list(_factors(steps, network, generator)))


def _correlation(z: Tensor) -> float:
    a, b = z.chunk(2)
    return float((a * b).mean() / (a.square().mean() * b.square().mean()).sqrt())


def _factors(
    steps: list[tuple[Tensor, Tensor]], network: list[tuple[Tensor, Tensor]], generator: torch.Generator
) -> Iterator[float]:
    """||delta_l||^2 / ||delta_(l+1)||^2 from the first layer on, for random deltas at the last."""
    delta, found = torch.randn(INPUTS, WIDTH, generator=generator), []
    for (z, y), (weight, _) in zip(steps[-2::-1], network[:0:-1], strict=True):
        (below,) = torch.autograd.grad(y, z, delta @ weight)
        found.append(float(below.square().sum() / delta.square().sum()))
        delta = below
    yield from found[::-1]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_lengths_correlations_and_gradients_are_those_of_random_networks(
    name: str, networks: list[list[tuple[Tensor, Tensor]]]
) -> None:
    f = FUNCTIONS[name]
    measured = measure(f, networks)
    q, c = SIGMA_W**2 + SIGMA_B**2, (SIGMA_W**2 * CORRELATION + SIGMA_B**2) / (SIGMA_W**2 + SIGMA_B**2)
    for layer in range(DEPTH):
        scatter = math.sqrt(2 * (layer + 1) / WIDTH / INDEPENDENT)
        assert measured.lengths[layer] == pytest.approx(q, rel=4 * scatter)
        assert measured.correlations[layer] == pytest.approx(c, abs=4 * scatter)
        if layer < DEPTH - 1:
            variance = layer_variance(slope_ratio(f, q), WIDTH) / INDEPENDENT
            assert measured.factors[layer] == pytest.approx(chi_1(f, SIGMA_W, q), rel=4 * math.sqrt(variance))
        c = correlation_map(f, c, q, SIGMA_W, SIGMA_B)
        q = length_map(f, q, SIGMA_W, SIGMA_B)
