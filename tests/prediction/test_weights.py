"""The variances of every initialization, against the weights and biases that it draws."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from vanishgrad.choices.activation import LeakyReLU, Tanh
from vanishgrad.choices.initialization import (
    LSUV,
    Critical,
    Gaussian,
    Normal,
    Orthogonal,
)
from vanishgrad.choices.protocol import Activation
from vanishgrad.description import choices_in
from vanishgrad.streams import stream

INITS: list[Any] = [kind() for kind in choices_in("init").values() if kind is not LSUV]
INITS += [Gaussian(1.7, 0.4), Normal(0.05), Orthogonal(1.3)]
SHAPES = [(256, 256), (400, 256), (256, 400), (64, 512)]


@pytest.mark.parametrize("act", [Tanh(), LeakyReLU(0.5)], ids=str)
@pytest.mark.parametrize("init", INITS, ids=str)
@pytest.mark.parametrize("fan_in, fan_out", SHAPES)
def test_variances_are_those_of_what_is_drawn(init: Any, act: Activation, fan_in: int, fan_out: int) -> None:
    weight, biases = torch.empty(fan_out, fan_in), torch.empty(100_000)
    init.weight_(weight, act, stream(0, "weight"))
    init.bias_(biases, fan_in, act, stream(0, "bias"))
    found = init.variances(act, fan_in, fan_out)
    assert found is not None
    error = 4 * math.sqrt(2 / weight.numel())
    assert fan_in * float(weight.double().square().mean()) == pytest.approx(found[0], rel=error)
    assert float(biases.double().square().mean()) == pytest.approx(found[1], rel=0.02)


def test_lsuv_brings_a_variance_to_one_unless_it_is_near() -> None:
    weights = LSUV(tolerance=0.1).weights(Tanh(), 64, 64)
    assert weights is not None
    assert weights(0.25) == (4.0, 0.0)
    assert weights(1.05) == (1.0, 0.0)
    assert weights(0.0) == (1.0, 0.0)


def test_the_critical_point_is_that_of_the_activation() -> None:
    assert Critical().variances(Tanh(), 64, 64) == pytest.approx((1.0, 0.0))
