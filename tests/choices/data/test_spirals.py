from __future__ import annotations

import math

import pytest
import torch

from vanishgrad.choices.data import Spirals, load
from vanishgrad.choices.data.points import draw_spirals


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_a_point_without_noise_lies_on_the_arm_of_its_label(classes: int) -> None:
    spirals = draw_spirals(classes, points=500, noise=0.0, seed=0)
    x, y = spirals.x.double().unbind(1)
    radius = torch.hypot(x, y)
    turns = torch.atan2(y, x) / (2 * math.pi)
    off = turns - radius - spirals.y / classes  # whole turns on the arm
    assert (off - off.round()).abs().max() < 1e-4
    assert radius.max() < 1
    assert radius.mean() == pytest.approx(0.5, abs=0.05)  # four standard errors of a uniform radius


def test_noise_is_the_standard_deviation_of_each_coordinate() -> None:
    noisy, clean = (draw_spirals(3, 20_000, noise, seed=1).x for noise in (0.2, 0.0))
    std, mean = torch.std_mean(noisy - clean, dim=0)
    torch.testing.assert_close(std, torch.full((2,), 0.2), rtol=0.03, atol=0)
    torch.testing.assert_close(mean, torch.zeros(2), rtol=0, atol=0.007)


def test_the_arms_share_the_points_evenly() -> None:
    assert draw_spirals(3, 1500, 0.05, seed=0).y.bincount().tolist() == [500, 500, 500]
    assert draw_spirals(4, 10, 0.05, seed=0).y.bincount().tolist() == [3, 3, 2, 2]


def test_spirals_hold_out_a_fifth() -> None:
    data = load(Spirals(points=200))
    assert (data.train_x.shape, data.val_x.shape) == ((160, 2), (40, 2))


def test_every_field_of_spirals_changes_the_data() -> None:
    plain = Spirals(points=60)
    others = (
        Spirals(points=61),
        Spirals(points=60, classes=4),
        Spirals(points=60, noise=0.1),
        Spirals(points=60, seed=1),
        Spirals(points=60, scale="unit"),
        Spirals(points=60, train_size=40),
    )
    first = load(plain).train_x
    for other in others:
        x = load(other).train_x
        assert x.shape != first.shape or not torch.equal(x, first), other


def test_unit_spirals_lie_in_the_unit_square() -> None:
    x = load(Spirals(scale="unit")).train_x
    assert x.amin(0).tolist() == [0.0, 0.0]
    assert x.amax(0).tolist() == [1.0, 1.0]


def test_loading_the_same_choice_again_gives_the_same_tensors() -> None:
    assert load(Spirals(points=90)) is load(Spirals(points=90))


def test_loading_afresh_gives_equal_tensors() -> None:
    first = load(Spirals(points=90))
    load.cache_clear()
    again = load(Spirals(points=90))
    assert again is not first
    assert torch.equal(again.train_x, first.train_x)
    assert torch.equal(again.val_y, first.val_y)
