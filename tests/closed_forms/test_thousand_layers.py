"""A thousand layers: what the stream of rezero and fixup does to gradients, and that it lets them train."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vanishgrad import Run, build, train
from vanishgrad.choices.clipping import ClipByNorm
from vanishgrad.choices.data import load
from vanishgrad.choices.initialization import He, Normal
from vanishgrad.choices.model.feedforward import CNN
from vanishgrad.choices.normalization import BatchNorm, NoNorm
from vanishgrad.choices.optimizer import SGD, Adam
from vanishgrad.choices.protocol import Normalization, Residual
from vanishgrad.choices.residual import Fixup, IdentityShortcut, NoResidual, Rezero, ScaledShortcut

BASE = Run(depth=1000, width=32)
CONV = replace(BASE, width=8, model=CNN())
MOMENTUM = replace(BASE, optim=SGD(momentum=0.9), lr=0.01, log_every=10**6, measure="gradients", threads=1)
CHANCE = 0.1  # ten digits, about equally frequent


def stream_gradients(model: nn.Module, x: Tensor, y: Tensor) -> list[Tensor]:
    """dLoss/d(output) of every block from the first to the last; the parameters' are left in `grad`."""
    outputs: list[Tensor] = []
    blocks = [module for name, module in model.named_children() if name.startswith("block_")]
    handles = [block.register_forward_hook(lambda *call: outputs.append(call[2])) for block in blocks]
    loss = nn.functional.cross_entropy(model(x), y)
    for handle in handles:
        handle.remove()
    for output in outputs:
        output.retain_grad()
    model.zero_grad()
    loss.backward()
    return [output.grad for output in outputs if output.grad is not None]


def batch() -> tuple[Tensor, Tensor]:
    data = load(BASE.data)
    return data.train_x[:16], data.train_y[:16]


def test_rezero_carries_the_gradient_through_500_blocks_bit_by_bit() -> None:
    gradients = stream_gradients(build(replace(BASE, residual=Rezero())), *batch())
    assert len(gradients) == 499
    assert gradients[-1].any()
    assert all(torch.equal(gradient, gradients[-1]) for gradient in gradients)


@pytest.mark.parametrize("base", [BASE, CONV], ids=["mlp", "cnn"])
def test_fixup_carries_the_gradient_through_500_blocks_as_soon_as_there_is_one(base: Run) -> None:
    model = build(replace(base, residual=Fixup()))
    assert not any(gradient.any() for gradient in stream_gradients(model, *batch()))  # its classifier is zero
    lengths = []
    for _ in range(3):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.01 * parameter.grad
        gradients = stream_gradients(model, *batch())
        lengths.append([float(gradient.double().norm()) for gradient in gradients])
    for first, *_, last in lengths:  # branches too, from the second of these steps on
        assert last > 0
        assert first == pytest.approx(last, rel=0.1)


def test_rezero_carries_the_gradient_of_maps_through_each_stage_bit_by_bit() -> None:
    gradients = stream_gradients(build(replace(CONV, residual=Rezero())), *batch())
    stages = [[g for g in gradients if g.shape[1:] == shape] for shape in ((8, 8, 8), (16, 4, 4), (32, 2, 2))]
    assert [len(stage) for stage in stages] == [166, 166, 167]
    for stage in stages:
        assert stage[-1].any()
        assert all(torch.equal(gradient, stage[-1]) for gradient in stage)


@pytest.mark.parametrize("residual, norm, growth", [
    (IdentityShortcut(), BatchNorm(), 1000.0),  # a power of the depth: block l adds about 1/l to the stream
    (ScaledShortcut(), NoNorm(), 10.0),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("init", [BASE.init, He()], ids=str)
def test_a_thousand_convolutions_carry_gradients_to_the_first(
    residual: Residual, norm: Normalization, growth: float, init: He
) -> None:
    run = replace(CONV, residual=residual, norm=norm, init=init)
    lengths = [float(gradient.double().norm()) for gradient in stream_gradients(build(run), *batch())]
    assert 1 / 10 < lengths[0] / lengths[-1] < growth


def test_a_hundred_plain_convolutions_do_not() -> None:
    model, (x, y) = build(replace(CONV, depth=100)), batch()
    nn.functional.cross_entropy(model(x), y).backward()
    lengths = [float(p.grad.double().norm()) for p in model.parameters() if p.grad is not None and p.ndim > 1]
    assert lengths[0] < 1e-20 * lengths[-1]


def test_without_normalization_or_scale_a_thousand_convolutions_overflow() -> None:
    model = build(replace(CONV, residual=IdentityShortcut(), init=He()))
    assert not model(batch()[0]).isfinite().any()


def final_accuracy(run: Run) -> float:
    accuracy = train(run).final["val_accuracy"]
    assert accuracy is not None
    return accuracy


@pytest.mark.slow
def test_rezero_learns_the_digits_at_depth_1000() -> None:
    assert final_accuracy(replace(MOMENTUM, residual=Rezero(), epochs=7)) > 0.9


@pytest.mark.slow
def test_fixup_learns_the_digits_at_depth_1000() -> None:
    assert final_accuracy(replace(MOMENTUM, residual=Fixup(), epochs=8)) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize(
    "choices",
    [
        {"residual": IdentityShortcut(), "norm": BatchNorm(), "recompute_every": 32, "epochs": 4},
        {"residual": Rezero(), "init": He(), "optim": Adam(), "lr": None, "epochs": 4},
    ],
    ids=["batchnorm", "rezero"],
)
def test_a_convolutional_network_of_depth_1000_learns_the_digits(choices: dict[str, Any]) -> None:
    assert final_accuracy(replace(MOMENTUM, width=8, model=CNN(), **choices)) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("optim, lr", [(SGD(), 0.1), (SGD(0.9), 0.01)], ids=["default", "momentum"])
def test_a_plain_network_of_depth_100_stays_at_chance(optim: SGD, lr: float) -> None:
    run = replace(MOMENTUM, depth=100, residual=NoResidual(), optim=optim, lr=lr, epochs=20)
    assert final_accuracy(run) == pytest.approx(CHANCE, abs=0.05)


LARGE = Run(depth=20, init=Normal(1.0), max_steps=30, log_every=10)


def test_large_weights_explode() -> None:
    """Var W = 1 at width 64 is 32 times what relu keeps, so squared gradients grow by 10^1.5 per layer."""
    result = train(LARGE)
    deltas = torch.tensor(result.gradients.query("step == 0")["delta_norm"].to_numpy()[:-1])
    assert result.status == "diverged"
    assert float((deltas[0] / deltas[-1]).log10()) / 19 == pytest.approx(0.75, abs=0.05)


def test_clipping_keeps_large_weights_finite() -> None:
    result = train(replace(LARGE, clip=ClipByNorm(1.0)))
    assert result.status == "completed"
    assert result.steps == 30
    assert (result.metrics["grad_norm"] > 1e10).all()
    assert result.metrics["clipped_grad_norm"].to_numpy() == pytest.approx(1, rel=1e-5)
