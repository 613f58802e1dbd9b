"""Norms over the whole range of float32, against Python's own hypot."""

import math

import pytest
import torch
from torch import Tensor

from vanishgrad.modules.norms import neighbours, norms, stacked_norms, total_norm
from vanishgrad.modules.packed import Blocks

SCALES = [1e-37, 1e-30, 1e-22, 1e-15, 1e-3, 1.0, 1e15, 1e20, 1e30, 1e37]


def random(scale: float, *shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def hypot(tensor: Tensor) -> float:
    return math.hypot(*tensor.flatten().tolist())


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_norms_are_right_at_every_scale(scale: float, dtype: torch.dtype) -> None:
    tensor = random(scale, 40, 25, dtype=dtype)
    (found,) = norms([tensor])
    assert found.dtype == torch.float64
    assert found.item() == pytest.approx(hypot(tensor), rel=1e-6, abs=0)


def test_sizes_scales_and_shapes_mix() -> None:
    shapes = [(3, 4), (), (5,), (12,), (3, 4), (1, 1), (2, 2, 3), (5,)]
    tensors = [random(SCALES[i], *shape, seed=i) for i, shape in enumerate(shapes)]
    assert norms(tensors).tolist() == pytest.approx([hypot(tensor) for tensor in tensors], rel=1e-6, abs=0)


def test_one_large_element_among_many_that_vanish_counts_alone() -> None:
    tensor = torch.full((1000,), 1e-30)
    tensor[7] = 1e-3
    assert norms([tensor]).item() == pytest.approx(1e-3, rel=1e-6)


def test_zeros_have_norm_zero_and_so_have_empty_tensors() -> None:
    assert norms([torch.zeros(3, 3), torch.zeros(()), torch.zeros(0), torch.zeros(0, 4)]).tolist() == [
        0,
        0,
        0,
        0,
    ]


def test_no_tensors_have_no_norms() -> None:
    assert norms([]).shape == (0,)


def test_infinities_and_nan_stay_where_they_are() -> None:
    bad = [
        torch.tensor([1.0, math.inf]),
        torch.tensor([math.nan, 1.0]),
        torch.tensor([3.0, 4.0]),
        torch.zeros(2),
    ]
    infinite, undefined, healthy, zero = norms(bad).tolist()
    assert infinite == math.inf
    assert math.isnan(undefined)
    assert (healthy, zero) == (5, 0)


def test_every_tensor_of_many_has_its_own_norm_in_its_own_place() -> None:
    tensors = [random(10.0 ** (i % 7 - 3), *([4, 5] if i % 3 else [20]), seed=i) for i in range(300)]
    assert norms(tensors).tolist() == pytest.approx([hypot(tensor) for tensor in tensors], rel=1e-6)


@pytest.mark.parametrize("elements", [10**4, 10**6, 4 * 10**6])
def test_wide_layers_lose_no_digits_to_the_order_of_summation(elements: int) -> None:
    """A sum of equal squares, one after the other in float32, would be off by 1e-3 here."""
    expected = math.sqrt(elements) * float(torch.tensor(0.1))
    values = torch.full((elements,), 0.1)
    assert norms([values]).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_not_rounded_a_second_time(dtype: torch.dtype) -> None:
    tensor = random(1.0, 1000).to(dtype)
    assert norms([tensor]).item() == pytest.approx(hypot(tensor), rel=1e-6)


def test_tensors_that_need_gradients_are_read_without_recording() -> None:
    assert not norms([torch.ones(3, requires_grad=True)]).requires_grad


@pytest.mark.parametrize("scale", SCALES)
def test_the_total_is_the_norm_of_all_elements(scale: float) -> None:
    tensors = [random(scale, 4, 3), random(scale, 7, seed=1), random(scale, seed=2)]
    expected = hypot(torch.cat([tensor.flatten() for tensor in tensors]))
    assert total_norm(tensors).item() == pytest.approx(expected, rel=1e-6, abs=0)


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_millions_of_random_squares_lose_no_digits(scale: float) -> None:
    tensor = random(1.0, 2000, 2000)
    expected = scale * float(tensor.double().square().sum().sqrt())
    assert norms([tensor * scale]).item() == pytest.approx(expected, rel=1e-6, abs=0)


def test_views_are_read_as_they_are() -> None:
    tensor = torch.arange(12.0).reshape(3, 4)
    assert norms([tensor.T[1:]]).item() == pytest.approx(hypot(tensor.T[1:]), rel=1e-6)


SHAPES = [(3, 5), (4,), (3, 5), (3, 5), (4,), (7, 2)]


def filled(places: list[Tensor], scale: float) -> list[Tensor]:
    for seed, place in enumerate(places):
        place.copy_(random(scale, *place.shape, seed=seed))
    return places


def blocks(runs: int, scale: float) -> Blocks:
    made = Blocks([torch.empty(shape) for shape in SHAPES], runs, torch.device("cpu"))
    for row in range(runs):
        filled(made.of_run(row), scale)
        scale *= 3.0
    return made


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("runs", [1, 3])
def test_norms_of_blocks_are_those_of_their_tensors(runs: int, scale: float) -> None:
    made = blocks(runs, scale)
    sizes = stacked_norms(made.all)[made.rows]
    assert sizes.shape == (len(SHAPES), runs)
    for row in range(runs):
        expected = [hypot(tensor) for tensor in made.of_run(row)]
        assert sizes[:, row].tolist() == pytest.approx(expected, rel=1e-6, abs=0)


def test_neighbours_are_seen_as_one_and_nothing_else_is() -> None:
    made = Blocks([torch.empty(3, 5) for _ in range(4)], 1, torch.device("cpu"))
    beside = filled(made.of_run(0), 1.0)
    together = neighbours(beside)
    assert together is not None
    assert torch.equal(together, torch.stack(beside))
    assert neighbours([tensor.clone() for tensor in beside]) is None
    assert neighbours(beside[::-1]) is None
    assert neighbours([beside[0], beside[1], beside[3]]) is None
    square = torch.arange(18.0).reshape(2, 3, 3)
    assert neighbours([square[0], square[1].T]) is None
