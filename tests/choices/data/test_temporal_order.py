from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vanishgrad.choices.data import TemporalOrder, load
from vanishgrad.engine.evaluate import accuracy

SMALL = TemporalOrder(length=40, train_size=4_000, held_out=2_000)
NAMES = "abcdXYEB"
CLASSES = ["XX", "XY", "YX", "YY"]


@pytest.mark.parametrize("length", [20, 25, 40, 100])
def test_sequences_are_those_of_task_6a(length: int) -> None:
    """E, then a, b, c, d but for X or Y in the second and sixth tenth, then B; their order is the class."""
    data = load(replace(SMALL, length=length, train_size=400, held_out=300))
    for x, y in ((data.train_x, data.train_y), (data.val_x, data.val_y)):
        for numbers, label in zip(x.tolist(), y.tolist(), strict=True):
            sequence = "".join(NAMES[number] for number in numbers)
            assert (len(sequence), sequence[0], sequence[-1]) == (length, "E", "B")
            early, late = (time for time, symbol in enumerate(sequence) if symbol in "XY")
            assert length // 10 <= early < length // 5
            assert length // 2 <= late < length * 3 // 5
            assert set(sequence[1:-1]) <= set("abcdXY")
            assert sequence[early] + sequence[late] == CLASSES[label]


def test_symbols_and_classes_are_integers() -> None:
    data = load(SMALL)
    assert (data.train_x.shape, data.train_y.shape) == ((4_000, 40), (4_000,))
    assert (data.val_x.shape, data.val_y.shape) == ((2_000, 40), (2_000,))
    assert {tensor.dtype for tensor in vars(data).values()} == {torch.int64}


def test_times_and_distractors_are_uniform_and_do_not_depend_on_the_class() -> None:
    data = load(SMALL)
    hidden = (data.train_x >= 4) & (data.train_x <= 5)
    for label in range(4):
        times = hidden[data.train_y == label].sum(0)
        for tenth in (times[4:8], times[20:24]):
            expected = tenth.sum() / 4
            assert ((tenth - expected) ** 2 / expected).sum() < 30.7  # chi-square's 1 - 1e-6, 3 degrees
    counts = data.train_x[data.train_x < 4].bincount().double()
    assert ((counts - counts.mean()) ** 2 / counts.mean()).sum() < 30.7


def test_a_constant_answer_reaches_the_baseline() -> None:
    labels = load(SMALL).val_y
    outputs = torch.zeros(len(labels), 4)
    outputs[:, 2] = 1
    found = accuracy(outputs, labels)
    assert found is not None
    assert SMALL.baseline.metric == "val_accuracy"
    assert found.item() == pytest.approx(SMALL.baseline.value, abs=4 * (3 / 16 / 2_000) ** 0.5)


def test_the_first_sequences_are_the_same_however_many_there_are() -> None:
    large, small = load(SMALL), load(replace(SMALL, train_size=37, held_out=53))
    assert torch.equal(large.train_x[:37], small.train_x)
    assert torch.equal(large.train_y[:37], small.train_y)
    assert torch.equal(large.val_x[:53], small.val_x)
    assert torch.equal(large.val_y[:53], small.val_y)


def test_held_out_sequences_and_other_seeds_are_drawn_from_streams_of_their_own() -> None:
    data, other = load(SMALL), load(replace(SMALL, seed=1))
    assert not torch.equal(data.train_x[:2_000], data.val_x)
    assert not torch.equal(data.train_y[:2_000], data.val_y)
    assert not torch.equal(data.train_x, other.train_x)
