"""Losses against their formulas in Python numbers."""

import math
from collections.abc import Callable
from types import FunctionType

import pytest
import torch
from torch import Tensor

from vanishgrad.choices.loss import BCE, MSE, CrossEntropy
from vanishgrad.choices.protocol import Loss


def described(value: object) -> str | None:
    """A test id without memory addresses, which would differ between the processes of one test run."""
    return None if isinstance(value, FunctionType) else str(value)


OUTPUTS = [[2.0, -1.0, 0.5], [-3.0, 4.0, 1.0], [0.0, 0.1, -0.2], [1.0, 1.0, 1.0]]
CLASSES = [0, 2, 1, 1]
ONE_HOT = [[float(k == c) for k in range(3)] for c in CLASSES]
VALUES = [[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.6, 0.1, 0.3], [0.25, 0.25, 0.5]]

Rows = list[list[float]]


def cross_entropy(outputs: Rows, targets: Rows) -> float:
    def row(z: list[float], t: list[float]) -> float:
        total = math.log(sum(map(math.exp, z)))
        return sum(p * (total - value) for p, value in zip(t, z, strict=True))

    return sum(map(row, outputs, targets)) / len(outputs)


def bce(outputs: Rows, targets: Rows) -> float:
    def element(z: float, t: float) -> float:
        p = 1 / (1 + math.exp(-z))
        return -t * math.log(p) - (1 - t) * math.log(1 - p)

    return sum(
        element(*pair) for z, t in zip(outputs, targets, strict=True) for pair in zip(z, t, strict=True)
    ) / len(outputs)


def mse(outputs: Rows, targets: Rows) -> float:
    pairs = (pair for z, t in zip(outputs, targets, strict=True) for pair in zip(z, t, strict=True))
    return sum((z - t) ** 2 for z, t in pairs) / len(outputs)


CASES: list[tuple[Loss, Callable[[Rows, Rows], float]]] = [
    (CrossEntropy(), cross_entropy),
    (BCE(), bce),
    (MSE(), mse),
]


@pytest.mark.parametrize("loss, formula", CASES, ids=described)
@pytest.mark.parametrize(
    "targets, rows",
    [(torch.tensor(CLASSES), ONE_HOT), (torch.tensor(VALUES), VALUES)],
    ids=["classes", "values"],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_loss_is_its_formula(
    loss: Loss, formula: Callable[[Rows, Rows], float], targets: Tensor, rows: Rows, dtype: torch.dtype
) -> None:
    found = loss(torch.tensor(OUTPUTS, dtype=dtype), targets)
    assert found.shape == ()
    assert found.item() == pytest.approx(formula(OUTPUTS, rows), rel=1e-5)


@pytest.mark.parametrize("loss", [loss for loss, _ in CASES], ids=str)
def test_the_loss_of_a_batch_is_the_mean_over_its_examples(loss: Loss) -> None:
    outputs, targets = torch.tensor(OUTPUTS, dtype=torch.float64), torch.tensor(CLASSES)
    single = [loss(outputs[i : i + 1], targets[i : i + 1]).item() for i in range(4)]
    assert loss(outputs, targets).item() == pytest.approx(sum(single) / 4, rel=1e-12)


@pytest.mark.parametrize("loss", [CrossEntropy(), BCE()], ids=str)
def test_outputs_far_out_stay_finite(loss: Loss) -> None:
    outputs = torch.tensor([[1e4, -1e4]], requires_grad=True)
    found = loss(outputs, torch.tensor([1]))
    found.backward()
    assert found.item() == pytest.approx(2e4)
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()


def test_mse_takes_single_values_without_an_axis_of_their_own() -> None:
    outputs, targets = torch.tensor([[1.0], [2.0]]), torch.tensor([0.0, 4.0])
    assert MSE()(outputs, targets).item() == pytest.approx((1 + 4) / 2)


OVER_TIME = [
    [[2.0, -1.0, 0.5], [0.3, 0.2, 0.1]],
    [[-3.0, 4.0, 1.0], [0.0, 0.1, -0.2]],
]  # (batch, time, classes)
CLASSES_OVER_TIME = [[0, 2], [1, 1]]


@pytest.mark.parametrize("loss, formula", CASES, ids=described)
def test_classes_at_every_time_step_are_averaged_over_batch_and_time(
    loss: Loss, formula: Callable[[Rows, Rows], float]
) -> None:
    found = loss(torch.tensor(OVER_TIME, dtype=torch.float64), torch.tensor(CLASSES_OVER_TIME))
    rows = [row for sequence in OVER_TIME for row in sequence]
    wanted = [[float(k == c) for k in range(3)] for sequence in CLASSES_OVER_TIME for c in sequence]
    assert found.shape == ()
    assert found.item() == pytest.approx(formula(rows, wanted), rel=1e-12)


@pytest.mark.parametrize("loss, formula", [(BCE(), bce), (MSE(), mse)], ids=described)
def test_frames_are_summed_over_all_but_the_examples(
    loss: Loss, formula: Callable[[Rows, Rows], float]
) -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(3, 4, 1, 5, 6, generator=generator, dtype=torch.float64)  # (batch, time, 1, h, w)
    frames = torch.rand(3, 4, 1, 5, 6, generator=generator)
    expected = formula(outputs.flatten(1).tolist(), frames.flatten(1).tolist())
    assert loss(outputs, frames).item() == pytest.approx(expected, rel=1e-12)


def test_cross_entropy_over_time_has_the_gradient_of_its_parts() -> None:
    outputs = torch.tensor(OVER_TIME, dtype=torch.float64, requires_grad=True)
    CrossEntropy()(outputs, torch.tensor(CLASSES_OVER_TIME)).backward()
    one_hot = torch.nn.functional.one_hot(torch.tensor(CLASSES_OVER_TIME), 3)
    torch.testing.assert_close(outputs.grad, (outputs.detach().softmax(-1) - one_hot) / 4)


def test_mse_of_one_output_per_example_is_the_mean_squared_error() -> None:
    outputs, targets = torch.tensor([[1.0], [2.0], [0.5]]), torch.tensor([[0.0], [4.0], [0.5]])
    assert MSE()(outputs, targets).item() == pytest.approx((1 + 4) / 3)
