"""Every optimizer against the class of `torch.optim` of the same name."""

import math
from collections.abc import Callable
from types import FunctionType
from typing import Any

import pytest
import torch
from torch import Tensor

from vanishgrad import Run, build, train
from vanishgrad.choices.data import load
from vanishgrad.choices.optimizer import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from vanishgrad.choices.regularization import WeightDecay
from vanishgrad.errors import SettingError


def described(value: object) -> str | None:
    """A test id without memory addresses, which would differ between the processes of one test run."""
    return None if isinstance(value, FunctionType) else str(value)


Reference = Callable[[list[Tensor]], torch.optim.Optimizer]

LR = 0.03
CASES: list[tuple[Optimizer, Reference]] = [
    (SGD(), lambda p: torch.optim.SGD(p, lr=LR)),
    (SGD(0.9), lambda p: torch.optim.SGD(p, lr=LR, momentum=0.9)),
    (Adam(), lambda p: torch.optim.Adam(p, lr=LR)),
    (Adam(0.8, 0.95, 1e-4), lambda p: torch.optim.Adam(p, lr=LR, betas=(0.8, 0.95), eps=1e-4)),
    (AdamW(), lambda p: torch.optim.AdamW(p, lr=LR, weight_decay=0.0)),
    (AdamW(0.8, 0.95, 1e-4), lambda p: torch.optim.AdamW(p, LR, (0.8, 0.95), 1e-4, weight_decay=0.0)),
    (Adagrad(), lambda p: torch.optim.Adagrad(p, lr=LR)),
    (Adagrad(1e-3), lambda p: torch.optim.Adagrad(p, lr=LR, eps=1e-3)),
    (RMSprop(), lambda p: torch.optim.RMSprop(p, lr=LR)),
    (RMSprop(0.9, 1e-3), lambda p: torch.optim.RMSprop(p, lr=LR, alpha=0.9, eps=1e-3)),
]


def start() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((4, 3), (4,), ())]


def slopes(parameters: list[Tensor]) -> list[Tensor]:
    """The gradients of sum (p^2 - 1)^2, which is neither quadratic nor convex."""
    return [4 * p.detach() * (p.detach() ** 2 - 1) for p in parameters]


@pytest.mark.parametrize("optim, reference", CASES, ids=described)
def test_twenty_steps_are_those_of_torch(optim: Optimizer, reference: Reference) -> None:
    ours, theirs = start(), [p.requires_grad_() for p in start()]
    state, optimizer = optim.start(ours), reference(theirs)
    for _ in range(20):
        optim.step_(ours, slopes(ours), state, LR)
        for parameter, gradient in zip(theirs, slopes(theirs), strict=True):
            parameter.grad = gradient
        optimizer.step()
    assert not torch.equal(ours[0], start()[0])
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other.detach(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("optim", [optim for optim, _ in CASES], ids=str)
def test_the_memory_of_a_run_can_be_saved_and_continued(optim: Optimizer) -> None:
    whole, parts = start(), start()
    state, other = optim.start(whole), optim.start(parts)
    for step in range(4):
        optim.step_(whole, slopes(whole), state, LR)
        if step == 2:
            other = {name: [tensor.clone() for tensor in tensors] for name, tensors in other.items()}
        optim.step_(parts, slopes(parts), other, LR)
    assert all(map(torch.equal, whole, parts))


@pytest.mark.parametrize(
    "optim, rate",
    [(SGD(), 0.1), (Adam(), 1e-3), (AdamW(), 1e-3), (RMSprop(), 1e-3), (Adagrad(), 1e-2)],
    ids=str,
)
def test_default_rates_are_those_of_the_contract(optim: Optimizer, rate: float) -> None:
    assert optim.default_lr == rate


@pytest.mark.parametrize("optim", [SGD(), Adam(), AdamW(), Adagrad(), RMSprop()], ids=str)
def test_nothing_decays_by_itself(optim: Optimizer) -> None:
    parameters = start()
    optim.step_(parameters, [torch.zeros_like(p) for p in parameters], optim.start(parameters), 0.5)
    assert all(map(torch.equal, parameters, start()))


BAD: list[tuple[Callable[..., Any], dict[str, float], str]] = [
    (SGD, {"momentum": 1.0}, r"optim\.momentum=1\.0: must be at least 0 and below 1"),
    (SGD, {"momentum": -0.1}, r"optim\.momentum=-0\.1"),
    (Adam, {"beta1": 1.0}, r"optim\.beta1=1\.0: must be at least 0 and below 1"),
    (AdamW, {"beta2": -1.0}, r"optim\.beta2=-1\.0"),
    (Adam, {"eps": 0.0}, r"optim\.eps=0\.0: must be finite, above 0"),
    (Adagrad, {"eps": math.nan}, r"optim\.eps=nan: must be above 0"),
    (RMSprop, {"alpha": 1.0}, r"optim\.alpha=1\.0: must be at least 0 and below 1"),
    (RMSprop, {"eps": -1.0}, r"optim\.eps=-1\.0: must be above 0"),
]


@pytest.mark.parametrize("choice, parameters, message", BAD)
def test_a_wrong_parameter_is_refused_by_name(
    choice: Callable[..., Any], parameters: dict[str, float], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        choice(**parameters)


@pytest.mark.parametrize("optim", [Adam(), AdamW()], ids=str)
def test_with_weight_decay_both_are_pytorchs_adamw(optim: Optimizer) -> None:
    """Of all optimizers the decay is `reg=weight_decay`; biases, which PyTorch decays too, have none here."""
    run = Run(
        depth=0, optim=optim, reg=WeightDecay(0.1), max_steps=5, lr=0.01, dtype="float64", batch_size="full"
    )
    result = train(run)
    model, data = build(run), load(run.data)
    decayed, biases = [model.get_parameter("output.weight")], [model.get_parameter("output.bias")]
    reference = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": biases, "weight_decay": 0.0}], lr=0.01
    )
    for _ in range(5):
        reference.zero_grad()
        torch.nn.functional.cross_entropy(model(data.train_x.double()), data.train_y).backward()
        reference.step()
    trained = result.model.get_parameter("output.weight")
    torch.testing.assert_close(trained, decayed[0], rtol=1e-10, atol=1e-12)
