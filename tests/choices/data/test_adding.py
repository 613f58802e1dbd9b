from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vanishgrad.choices.data import Adding, load
from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.choices.loss import MSE

SMALL = Adding(length=11, train_size=3_000, held_out=2_000)


def splits(data: Dataset) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(data.train_x, data.train_y), (data.val_x, data.val_y)]


def test_inputs_are_numbers_and_marks_and_the_target_is_one_value() -> None:
    data = load(SMALL)
    assert [tensor.shape for tensor in vars(data).values()] == [
        (3_000, 11, 2),
        (3_000, 1),
        (2_000, 11, 2),
        (2_000, 1),
    ]
    assert {tensor.dtype for tensor in vars(data).values()} == {torch.float32}


@pytest.mark.parametrize("length", [2, 3, 11, 50])
def test_the_target_is_the_sum_of_the_numbers_with_a_mark_one_in_each_half(length: int) -> None:
    for x, y in splits(load(replace(SMALL, length=length, train_size=300))):
        for (numbers, marks), target in zip(x.transpose(1, 2).tolist(), y[:, 0].tolist(), strict=True):
            assert sorted(marks) == [0.0] * (length - 2) + [1.0, 1.0]
            assert sum(marks[: length // 2]) == 1
            assert target == pytest.approx(sum(n for n, mark in zip(numbers, marks, strict=True) if mark))


def test_every_time_of_each_half_is_marked_equally_often() -> None:
    """Chi-square of the counts; its 1 - 1e-6 quantiles at 4 and 5 degrees of freedom are 33.4 and 35.9."""
    counts = load(SMALL).train_x[..., 1].sum(0)
    for half in (counts[:5], counts[5:]):
        expected = 3_000 / len(half)
        assert ((half - expected) ** 2 / expected).sum() < 33


def test_numbers_are_uniform_from_0_to_1() -> None:
    numbers = load(SMALL).train_x[..., 0].flatten().double()
    assert 0 <= numbers.min() < 0.001
    assert 0.999 < numbers.max() < 1
    assert numbers.mean() == pytest.approx(0.5, abs=5 * (1 / 12 / len(numbers)) ** 0.5)
    assert numbers.var() == pytest.approx(1 / 12, rel=0.03)


def test_always_answering_1_reaches_the_baseline() -> None:
    """The squared error has mean 1/6 and, as a triangular variable's, standard deviation sqrt(7/180)."""
    y = load(replace(SMALL, length=2, held_out=100_000)).val_y
    reached = MSE()(torch.ones_like(y), y).item()
    assert SMALL.baseline.metric == "val_loss"
    assert reached == pytest.approx(SMALL.baseline.value, abs=4 * (7 / 180 / len(y)) ** 0.5)


def test_held_out_sequences_are_others() -> None:
    data = load(SMALL)
    seen = {tuple(row) for row in data.train_x[..., 0].tolist()}
    assert not any(tuple(row) in seen for row in data.val_x[..., 0].tolist())


def test_the_first_sequences_are_the_same_however_many_there_are() -> None:
    large, small = load(SMALL), load(replace(SMALL, train_size=37, held_out=53))
    for (more, more_y), (fewer, fewer_y) in zip(splits(large), splits(small), strict=True):
        assert torch.equal(more[: len(fewer)], fewer)
        assert torch.equal(more_y[: len(fewer)], fewer_y)


def test_another_seed_gives_other_sequences() -> None:
    one, other = load(SMALL), load(replace(SMALL, seed=1))
    assert not torch.equal(one.train_x[..., 0], other.train_x[..., 0])
    assert not torch.equal(one.train_x[..., 1], other.train_x[..., 1])


def test_the_global_random_state_is_left_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    load.cache_clear()
    load(SMALL)
    assert torch.equal(torch.get_rng_state(), before)
