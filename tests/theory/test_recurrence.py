"""States of simple recurrent networks through time, against unrolled ones of width 1024."""

import math

import pytest
import torch
from torch import nn

from vanishgrad.theory.gaussian import Function
from vanishgrad.theory.mean_field import state_length, state_lengths, time_factor


def called(value: object) -> str:
    """A name for a test that is the same in every process."""
    return getattr(value, "__name__", str(value))


WIDTH, STEPS, INPUTS = 1024, 8, 32


@pytest.mark.parametrize("f, sigma_h, sigma_x", [
    (torch.tanh, 0.9, 0.5), (torch.tanh, 1.6, 0.3), (nn.ReLU(), 1.2, 1.0), (torch.erf, 1.1, 0.2),
], ids=called)  # fmt: skip
def test_lengths_and_gradients_over_time(f: Function, sigma_h: float, sigma_x: float) -> None:
    generator = torch.Generator().manual_seed(0)
    w = sigma_h * torch.randn(WIDTH, WIDTH, generator=generator) / math.sqrt(WIDTH)
    h, states, lengths = torch.zeros(INPUTS, WIDTH), [], []
    for _ in range(3 * STEPS):
        z = h @ w.t() + sigma_x * torch.randn(INPUTS, WIDTH, generator=generator)
        h = f(z)
        h.requires_grad_()
        states.append(h)
        lengths.append(float(z.detach().square().mean()))
    drive = sigma_x**2
    assert lengths[:4] == pytest.approx(state_lengths(f, sigma_h, drive, 4), rel=0.1)
    assert lengths[-1] == pytest.approx(state_length(f, sigma_h, drive), rel=0.1)
    first, last = states[-1 - STEPS], states[-1]
    (gradient,) = torch.autograd.grad(last, first, g := torch.randn(INPUTS, WIDTH, generator=generator))
    measured = float(gradient.square().sum() / g.square().sum()) ** (1 / STEPS)
    assert measured == pytest.approx(time_factor(f, sigma_h, drive), rel=0.04)
