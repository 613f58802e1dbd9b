from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from vanishgrad.choices.data import CopyMemory, load
from vanishgrad.choices.loss import CrossEntropy

SMALL = CopyMemory(length=6, memory=3, alphabet=4, train_size=2_000, held_out=1_000)


def test_sequences_are_as_in_arjovsky_et_al_2016() -> None:
    """10 symbols of a0 to a7, T - 1 blanks a8, the delimiter a9, 10 blanks; the answer has T + 10 blanks."""
    data = load(CopyMemory(length=30, train_size=200, held_out=100))
    for x, y in ((data.train_x, data.train_y), (data.val_x, data.val_y)):
        for sequence, answer in zip(x.tolist(), y.tolist(), strict=True):
            remembered = sequence[:10]
            assert set(remembered) <= set(range(8))
            assert sequence[10:] == [8] * 29 + [9] + [8] * 10
            assert answer == [8] * 40 + remembered


@pytest.mark.parametrize("length", [1, 2, 6])
def test_length_memory_and_alphabet_are_free(length: int) -> None:
    data = load(replace(SMALL, length=length))
    assert data.train_x.shape == data.train_y.shape == (2_000, length + 6)
    assert data.val_x.shape == data.val_y.shape == (1_000, length + 6)
    assert {tensor.dtype for tensor in vars(data).values()} == {torch.int64}
    assert data.train_x[0, 3:].tolist() == [4] * (length - 1) + [5] + [4] * 3
    assert torch.equal(data.train_y[:, -3:], data.train_x[:, :3])


def test_symbols_are_uniform() -> None:
    counts = load(SMALL).train_x[:, :3].flatten().bincount(minlength=4)
    assert len(counts) == 4
    assert ((counts - 1_500) ** 2 / 1_500).sum() < 30.7  # chi-square's 1 - 1e-6 quantile, 3 degrees


@pytest.mark.parametrize("data", [SMALL, CopyMemory(length=30, held_out=500)])
def test_blanks_and_then_random_symbols_reach_the_baseline(data: CopyMemory) -> None:
    wanted = load(data).val_y
    outputs = torch.full((*wanted.shape, data.outputs), -math.inf)
    outputs[:, : -data.memory, data.alphabet] = 0
    outputs[:, -data.memory :, : data.alphabet] = 0
    assert CrossEntropy()(outputs, wanted).item() == pytest.approx(data.baseline.value, rel=1e-6)


def test_the_baseline_is_the_published_one() -> None:
    assert CopyMemory(length=100).baseline.value == pytest.approx(10 * math.log(8) / 120)


def test_the_first_sequences_are_the_same_however_many_there_are() -> None:
    large, small = load(SMALL), load(replace(SMALL, train_size=37, held_out=53))
    assert torch.equal(large.train_x[:37], small.train_x)
    assert torch.equal(large.val_x[:53], small.val_x)


def test_held_out_sequences_and_other_seeds_are_drawn_from_streams_of_their_own() -> None:
    data, other = load(SMALL), load(replace(SMALL, seed=1))
    assert not torch.equal(data.train_x[:1_000], data.val_x)
    assert not torch.equal(data.train_x, other.train_x)
