"""L2 norms against sums in arbitrary precision."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from vanishgrad.norms import norms


def exact(tensor: Tensor) -> float:
    """The norm by exact fractions, rounded once (the root is taken of a number near 1)."""
    values = [Fraction(value) for value in tensor.flatten().tolist()]
    largest = max((abs(value) for value in values), default=Fraction(0))
    return float(largest) * math.sqrt(sum((value / largest) ** 2 for value in values)) if largest else 0.0


@pytest.mark.parametrize("size", [1e-38, 1e-30, 1e-22, 1e-20, 1e-15, 1.0, 1e15, 1e18, 1e30, 1e37])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_norms_are_right_at_every_size(size: float, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    tensor = torch.randn(7, 11, generator=generator, dtype=torch.float64).mul(size).to(dtype)
    assert float(norms([tensor])[0]) == pytest.approx(exact(tensor), rel=1e-6, abs=0)


def test_sizes_from_one_end_to_the_other_stay_apart_and_in_order() -> None:
    shapes = [(3, 4), (), (5,), (4, 3), (12,), (0,), (3, 4), (1, 1), (2, 3, 2)]
    generator = torch.Generator().manual_seed(1)
    tensors = [
        torch.randn(shape, generator=generator) * 10.0**exponent
        for shape, exponent in zip(shapes, (-30, 0, 30, 5, -5, 0, 30, -30, 1), strict=True)
    ]
    found = norms(tensors)
    assert found.dtype == torch.float64
    assert found.tolist() == pytest.approx([exact(tensor) for tensor in tensors], rel=1e-6, abs=0)


def test_scalars_have_norms() -> None:
    assert norms([torch.tensor(-3.0), torch.tensor(4.0)]).tolist() == [3.0, 4.0]


def test_no_tensors_have_no_norms() -> None:
    assert norms([]).shape == (0,)


def test_infinite_and_undefined_elements_show() -> None:
    found = norms(
        [torch.tensor([1.0, math.inf]), torch.tensor([math.nan, 1.0]), torch.tensor([3.0, 4.0])]
    ).tolist()
    assert found[0] == math.inf
    assert math.isnan(found[1])
    assert found[2] == pytest.approx(5.0)


def test_many_tensors_of_mixed_sizes_keep_their_order() -> None:
    tensors = [torch.full((3,) if index % 2 else (4,), float(index)) for index in range(300)]
    expected = [index * math.sqrt(3 if index % 2 else 4) for index in range(300)]
    assert norms(tensors).tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("size", [1e-25, 1.0, 1e25])
def test_large_tensors_lose_no_digits_in_the_sum(size: float) -> None:
    """Four million squares added up in float32 are off by 1e-4."""
    tensor = torch.randn(2000, 2000, generator=torch.Generator().manual_seed(0)) * size
    expected = float(tensor.double().div(size).square().sum().sqrt()) * size
    assert float(norms([tensor])[0]) == pytest.approx(expected, rel=1e-6, abs=0)


def test_views_and_tensors_in_the_graph_are_read_as_they_are() -> None:
    tensor = torch.arange(12.0).reshape(3, 4).requires_grad_()
    assert norms([tensor.T])[0] == pytest.approx(exact(tensor.detach()), rel=1e-6)
    assert not norms([tensor]).requires_grad
