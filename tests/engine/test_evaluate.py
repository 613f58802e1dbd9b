"""Loss and accuracy over a data set, in parts that fit into memory."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from vanishgrad.choices.loss import BCE, MSE, CrossEntropy
from vanishgrad.choices.protocol import Loss
from vanishgrad.engine.evaluate import CHUNK, NUMBERS, accuracy, evaluate, examples_per_pass

GENERATOR = torch.Generator().manual_seed(0)


class Recording(nn.Module):
    """A linear map of the last axis that remembers what it was shown."""

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__()
        self.map = nn.Linear(features, outputs).double()
        self.sizes: list[int] = []
        self.modes: set[bool] = set()

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append(len(x))
        self.modes.add(self.training)
        return self.map(x)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


def classes(*shape: int, count: int) -> Tensor:
    return torch.randint(count, shape, generator=GENERATOR)


def test_accuracy_counts_every_time_step() -> None:
    outputs = torch.tensor([[[0.0, 1.0], [2.0, 1.0]], [[0.0, 3.0], [0.0, 5.0]]])
    assert accuracy(outputs, torch.tensor([[1, 1], [1, 0]])) == 0.5
    assert accuracy(outputs, torch.tensor([[1, 0], [1, 0]])) == 0.75
    assert accuracy(outputs[0], torch.tensor([1, 0])) == 1
    assert accuracy(outputs, outputs) is None


@pytest.mark.parametrize("loss", [CrossEntropy(), BCE(), MSE()], ids=lambda loss: loss.name)
@pytest.mark.parametrize(
    "inputs, targets",
    [
        (drawn(10_000, 6), classes(10_000, count=4)),  # three parts, the last one smaller
        (drawn(700, 300, 6), classes(700, 300, count=4)),
    ],
    ids=["examples", "sequences"],
)
def test_parts_give_the_same_as_the_whole(loss: Loss, inputs: Tensor, targets: Tensor) -> None:
    model = Recording(6, 4)
    found, right = evaluate(model, loss, inputs, targets)
    assert len(model.sizes) > 1
    assert sum(model.sizes) == len(inputs)
    with torch.no_grad():
        outputs = model.map(inputs)
    assert found == pytest.approx(float(loss(outputs, targets)), rel=1e-12)
    assert right == pytest.approx(float((outputs.argmax(-1) == targets).double().mean()), rel=1e-12)


def test_values_have_a_loss_and_no_accuracy() -> None:
    inputs, targets, model = drawn(9_000, 3), drawn(9_000, 2), Recording(3, 2)
    found, right = evaluate(model, MSE(), inputs, targets)
    with torch.no_grad():
        expected = (model.map(inputs) - targets).square().sum() / 9_000
    assert right is None
    assert found == pytest.approx(float(expected), rel=1e-12)


def test_one_part_is_the_loss_itself() -> None:
    inputs, targets, model = drawn(300, 64), classes(300, count=10), Recording(64, 10)
    found, _ = evaluate(model, CrossEntropy(), inputs, targets)
    with torch.no_grad():
        assert found == float(CrossEntropy()(model.map(inputs), targets))


@pytest.mark.parametrize(
    "inputs, targets, expected",
    [
        (torch.zeros(2, 64), torch.tensor([0, 9]), CHUNK),  # the digits
        (torch.zeros(2, 3, 32, 32), torch.tensor([0, 9]), NUMBERS // (3_072 + 10)),
        (torch.zeros(2, 1020).long(), torch.full((2, 1020), 8), NUMBERS // (1_020 * 10)),  # copy memory
        (torch.zeros(2, 1000, 2), torch.zeros(2, 1), NUMBERS // 2_001),  # adding
        (torch.zeros(2, 10, 1, 64, 64), torch.zeros(2, 10, 1, 64, 64), NUMBERS // 81_920),
        (torch.zeros(1).expand(2, NUMBERS + 1), torch.zeros(2, 1), 1),
    ],
)
def test_large_examples_come_a_few_at_a_time(inputs: Tensor, targets: Tensor, expected: int) -> None:
    assert examples_per_pass(inputs, targets) == expected


def test_outputs_that_are_not_finite_are_no_answer() -> None:
    inputs, targets, model = drawn(5_000, 3), classes(5_000, count=2), Recording(3, 2)
    inputs[-1] = math.inf
    found, right = evaluate(model, CrossEntropy(), inputs, targets)
    assert len(model.sizes) == 2
    assert not math.isfinite(found)
    assert right is not None
    assert math.isnan(right)


@pytest.mark.parametrize("training", [True, False])
def test_the_mode_of_the_model_is_restored(training: bool) -> None:
    model = Recording(3, 2).train(training)
    evaluate(model, CrossEntropy(), drawn(5, 3), classes(5, count=2))
    assert model.modes == {False}
    assert model.training is training


def test_the_mode_is_restored_after_an_error() -> None:
    model = Recording(3, 2)
    with pytest.raises(RuntimeError):
        evaluate(model, CrossEntropy(), drawn(5, 4), classes(5, count=2))
    assert model.training
