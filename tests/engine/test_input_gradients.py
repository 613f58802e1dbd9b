"""Correlation of input gradients along a line: against networks whose input gradient is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from vanishgrad.choices.activation import Identity, ReLU
from vanishgrad.choices.data import Digits
from vanishgrad.choices.initialization import He
from vanishgrad.choices.normalization import BatchNorm
from vanishgrad.choices.regularization import Dropout
from vanishgrad.choices.residual import IdentityShortcut
from vanishgrad.engine import train
from vanishgrad.engine.observations import correlation_rows
from vanishgrad.errors import SettingError
from vanishgrad.run import Run

SMALL = Run(
    depth=2, width=8, batch_size=16, max_steps=3, input_gradients=16, data=Digits(train_size=64),
)  # fmt: skip


class Turning(nn.Module):
    """f(x) = sin x_1 - cos x_1 x_2 ... with the gradient (cos w x_1, sin w x_1): it turns at a known rate."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        angle = self.rate * x[:, 0]
        return torch.sin(angle) / self.rate + torch.sin(angle.detach()) * x[:, 1]


@pytest.mark.parametrize("rate", [0.5, 3.0])
def test_a_gradient_that_turns_at_a_known_rate_gives_the_cosine_of_the_angle(rate: float) -> None:
    inputs = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    rows = correlation_rows(0, Turning(rate), inputs, points=33)
    assert [lag for _, lag, _ in rows] == list(range(17))
    for _, lag, correlation in rows:
        assert correlation == pytest.approx(float(torch.cos(torch.tensor(rate * lag / 32))), abs=1e-6)


def test_a_linear_network_has_one_gradient_everywhere() -> None:
    table = train(replace(SMALL, act=Identity())).extra["input_gradients"]
    assert set(table["step"]) == {0, 3}
    assert table["correlation"].tolist() == pytest.approx([1.0] * len(table), abs=1e-6)


def test_looking_changes_neither_weights_nor_statistics_nor_noise() -> None:
    run = replace(SMALL, norm=BatchNorm(), reg=Dropout(0.5))
    looked, left = train(run), train(replace(run, input_gradients=0))
    for name, value in left.model.state_dict().items():
        other = looked.model.state_dict()[name]
        assert torch.equal(value, other) if isinstance(value, Tensor) else value == other


def test_a_gradient_of_zero_has_no_direction() -> None:
    class Nothing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sum() * 0

    rows = correlation_rows(0, Nothing(), torch.randn(4, 3), points=8)
    assert all(correlation is None for _, _, correlation in rows)


def test_one_training_example_has_no_line_to_a_next_one() -> None:
    with pytest.raises(SettingError, match="input_gradients=16 with one training example"):
        train(replace(SMALL, batch_size="full", data=Digits(train_size=1)))


def test_plain_depth_shatters_gradients_and_shortcuts_do_not() -> None:
    # Balduzzi et al. 2017, figure 1: white noise from a deep plain network, brown from one with shortcuts
    deep = replace(
        SMALL, depth=24, width=64, act=ReLU(), init=He(), norm=BatchNorm(), max_steps=0, input_gradients=256
    )
    shallow, plain, shortcuts = (
        train(run).extra["input_gradients"].set_index("lag")["correlation"][1]
        for run in (replace(deep, depth=1), deep, replace(deep, residual=IdentityShortcut()))
    )
    assert abs(plain) < 0.1 < 0.25 < shortcuts < shallow
