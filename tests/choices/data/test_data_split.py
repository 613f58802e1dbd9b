from __future__ import annotations

import pytest
import torch

from vanishgrad.choices.data.dataset import Examples, choose, hold_out
from vanishgrad.errors import SettingError

# Every example carries its row as input and as label, so that a split shows which rows it took.
POOL = Examples(torch.arange(100.0)[:, None], torch.arange(100), bounds=None)


def test_hold_out_parts_every_example_exactly_once() -> None:
    train, held_out = hold_out(POOL, 37, seed=3)
    assert (len(train), len(held_out)) == (37, 63)
    assert torch.equal(torch.cat([train.y, held_out.y]).sort().values, POOL.y)


def test_inputs_keep_their_labels() -> None:
    for split in (*hold_out(POOL, None, seed=3), choose(POOL, 20, seed=3)):
        assert torch.equal(split.x[:, 0].long(), split.y)


def test_hold_out_trains_on_four_fifths_unless_told() -> None:
    assert len(hold_out(POOL, None, seed=0)[0]) == 80
    assert len(hold_out(POOL.take(torch.arange(2)), None, seed=0)[0]) == 1


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    first, again, other = (hold_out(POOL, 80, seed)[0].y for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert set(first.tolist()) != set(other.tolist())


def test_the_split_does_not_touch_the_global_random_state() -> None:
    torch.manual_seed(5)
    first = hold_out(POOL, 80, seed=0)[0].y
    assert torch.equal(torch.rand(1), torch.rand(1, generator=torch.Generator().manual_seed(5)))
    torch.manual_seed(6)
    assert torch.equal(hold_out(POOL, 80, seed=0)[0].y, first)


def test_a_smaller_training_set_is_part_of_the_larger_one() -> None:
    assert torch.equal(hold_out(POOL, 10, seed=2)[0].y, hold_out(POOL, 50, seed=2)[0].y[:10])
    assert torch.equal(choose(POOL, 10, seed=2).y, choose(POOL, 50, seed=2).y[:10])


def test_without_a_seed_examples_come_in_file_order() -> None:
    train, held_out = hold_out(POOL, 30, seed=None)
    assert torch.equal(train.y, POOL.y[:30])
    assert torch.equal(held_out.y, POOL.y[30:])
    assert torch.equal(choose(POOL, 30, seed=None).y, POOL.y[:30])


def test_choose_draws_distinct_examples_from_the_whole_file() -> None:
    drawn = choose(POOL, 30, seed=0).y
    assert len(drawn.unique()) == 30
    assert drawn.max() >= 60  # all 30 below 60 of 100 has a probability of 4e-9


def test_choose_takes_everything_unless_told() -> None:
    assert torch.equal(choose(POOL, None, seed=0).y, POOL.y)


def test_choose_refuses_more_than_there_is() -> None:
    with pytest.raises(
        SettingError, match=r"^data.train_size=101: must be at most 100, the training examples"
    ):
        choose(POOL, 101, seed=0)
