"""An encoder layer against twins in plain torch.nn."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from vanishgrad.choices.pretraining import EncoderLayer

N, VISIBLE, HIDDEN = 40, 6, 4


def inputs() -> Tensor:
    """Probabilities, `(n, visible)`."""
    return torch.rand(N, VISIBLE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def layer() -> nn.Linear:
    linear = nn.Linear(VISIBLE, HIDDEN).double()
    generator = torch.Generator().manual_seed(2)
    for parameter in linear.parameters():
        nn.init.normal_(parameter, generator=generator)
    return linear


def learner(linear: nn.Linear, x: Tensor, *, act: nn.Module, **changes: object) -> EncoderLayer:
    settings = {"logistic": True, "tied": True, "corruption": 0.0, "lr": 0.2} | changes
    return EncoderLayer(linear, act, x, **settings)  # type: ignore[arg-type]


class Twin(nn.Module):
    """The autoencoder as one would write it down."""

    def __init__(self, linear: nn.Linear, act: nn.Module, x: Tensor, logistic: bool, tied: bool) -> None:
        super().__init__()
        self.encoder, self.act, self.logistic, self.tied = linear, act, logistic, tied
        self.decoder = nn.Linear(HIDDEN, VISIBLE).double()
        with torch.no_grad():
            self.decoder.weight.copy_(linear.weight.t())
            mean = (x.sum(0) + 0.5) / (N + 1)
            self.decoder.bias.copy_(torch.logit(mean) if logistic else x.mean(0))
        self.variance = ((x - x.mean(0)) ** 2).sum() / N

    def forward(self, seen: Tensor, x: Tensor) -> Tensor:
        weight = self.encoder.weight.t() if self.tied else self.decoder.weight
        restored = self.act(self.encoder(seen)) @ weight.t() + self.decoder.bias
        if not self.logistic:
            return ((restored - x) ** 2).sum(1).mean() / self.variance
        p = torch.sigmoid(restored)
        return -(x * p.log() + (1 - x) * (1 - p).log()).sum(1).mean()


@pytest.mark.parametrize("corruption", [0.0, 0.3])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("logistic", [True, False])
@pytest.mark.parametrize("act", [nn.Sigmoid(), nn.Tanh(), nn.PReLU().double()], ids=str)
def test_steps_are_those_of_a_plain_autoencoder(
    act: nn.Module, logistic: bool, tied: bool, corruption: float
) -> None:
    x, ours, theirs = inputs(), layer(), layer()
    one = learner(ours, x, act=act, logistic=logistic, tied=tied, corruption=corruption)
    twin = Twin(theirs, act, x, logistic, tied)
    optimizer = torch.optim.SGD([*theirs.parameters(), *twin.decoder.parameters()], lr=0.2)
    noise, same_noise = (torch.Generator().manual_seed(7) for _ in range(2))
    for _ in range(4):
        kept = torch.rand(x.shape, dtype=x.dtype, generator=same_noise) < 1 - corruption
        loss = twin(x * kept if corruption else x, x)
        torch.testing.assert_close(one.loss(x, noise), loss)
        kept = torch.rand(x.shape, dtype=x.dtype, generator=same_noise) < 1 - corruption
        optimizer.zero_grad()
        twin(x * kept if corruption else x, x).backward()
        optimizer.step()
        one.update_(x, noise)
    torch.testing.assert_close(ours.weight, theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


def test_the_activation_is_left_as_it_is() -> None:
    act, x = nn.PReLU().double(), inputs() - 0.5
    learner(layer(), x, act=act, logistic=False).update_(x, torch.Generator())
    assert act.weight.item() == 0.25


def test_without_weights_a_linear_decoder_restores_the_mean() -> None:
    linear, x = layer(), inputs()
    nn.init.zeros_(linear.weight)
    start = learner(linear, x, act=nn.Tanh(), logistic=False).loss(x, torch.Generator())
    assert float(start.detach()) == pytest.approx(1)


def test_without_weights_a_logistic_decoder_restores_how_often_a_unit_is_on() -> None:
    linear = layer()
    nn.init.zeros_(linear.weight)
    x = (torch.arange(N * VISIBLE, dtype=torch.float64).view(N, VISIBLE) % 4 == 0).double()
    start = learner(linear, x, act=nn.Sigmoid()).loss(x, torch.Generator())
    on = x.mean(0)
    entropy = sum(-p * math.log(p) - (1 - p) * math.log(1 - p) for p in on.tolist() if 0 < p < 1)
    assert float(start.detach()) == pytest.approx(entropy, rel=0.05)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.3])
@pytest.mark.parametrize("logistic", [True, False])
def test_inputs_that_never_vary_do_no_harm(value: float, logistic: bool) -> None:
    linear, x = layer(), torch.full((N, VISIBLE), value, dtype=torch.float64)
    one = learner(linear, x, act=nn.Sigmoid(), logistic=logistic, lr=0.01)
    one.update_(x, torch.Generator())
    assert one.loss(x, torch.Generator()).isfinite()
    assert linear.weight.isfinite().all()
