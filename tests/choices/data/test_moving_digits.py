"""Moving digits: what is seen in the frames, not how they were drawn."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vanishgrad.choices.data import MovingDigits
from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.choices.data.image_files import read_mnist
from vanishgrad.choices.data.images import read_digits
from vanishgrad.choices.data.video import draw_moving_digits, mean_frame_loss
from vanishgrad.errors import SettingError

SPRITE = 8


def films(data: Dataset, split: str = "train") -> Tensor:
    """All frames of each sequence, `(n, time, side, side)`."""
    parts = (data.train_x, data.train_y) if split == "train" else (data.val_x, data.val_y)
    return torch.cat(parts, dim=1)[:, :, 0]


def seen(images: Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images.contiguous()}


def paths(film: Tensor, sprites: Tensor) -> Tensor:
    """Upper left corners `(time, 2)` of the one digit in `film`, `(time, side, side)`.

    Found by looking for the place where some source digit fits exactly, as the first frames tell which.
    """
    windows = film.unfold(1, SPRITE, 1).unfold(2, SPRITE, 1)  # (time, row, column, 8, 8)
    lit = film.flatten(1).sum(1)[:, None, None]
    whole = (windows.flatten(3).sum(3) == lit).nonzero()  # windows that hold all of it
    candidates = [{tuple(place.tolist()) for place in whole[whole[:, 0] == t, 1:]} for t in range(len(film))]
    for sprite in sprites:
        if sprite.sum() == lit[0, 0, 0]:
            found = [
                [c for c in candidates[t] if torch.equal(windows[t][c], sprite)] for t in range(len(film))
            ]
            if all(found):
                return torch.tensor([places[0] for places in found])
    raise AssertionError("no source digit is in all frames")


def test_shapes_are_those_that_the_choice_tells() -> None:
    data = MovingDigits(size=20, given=3, predicted=4, train_size=5, held_out=2)
    drawn = draw_moving_digits(data)
    assert drawn.train_x.shape == (5, *data.shape) == (5, 3, 1, 20, 20)
    assert drawn.train_y.shape == (5, 4, 1, 20, 20)
    assert drawn.train_y[0].numel() == data.outputs
    assert (drawn.val_x.shape, drawn.val_y.shape) == ((2, 3, 1, 20, 20), (2, 4, 1, 20, 20))
    assert {t.dtype for t in vars(drawn).values()} == {torch.float32}


def test_pixels_fill_the_unit_interval() -> None:
    film = films(draw_moving_digits(MovingDigits(train_size=20)))
    assert (film.min(), film.max()) == (0, 1)


def test_a_digit_is_whole_in_every_frame() -> None:
    film = films(draw_moving_digits(MovingDigits(digits=1, predicted=40, train_size=50)))
    mass = film.sum((2, 3))
    assert (mass > 1).all()
    assert torch.equal(mass, mass[:, :1].expand_as(mass))  # sixteenths: float32 sums are exact


def test_a_digit_moves_at_constant_speed_and_bounces_at_the_edges() -> None:
    side, room, speed = 48, 40, 4.0
    film = films(draw_moving_digits(MovingDigits(digits=1, size=side, predicted=30, train_size=8)))
    sprites = read_digits().x[:, 0] / 16
    bounces = 0
    for one in film:
        place = paths(one, sprites).double()
        assert (place >= 0).all()
        assert (place <= room).all()
        moved = place.diff(dim=0)
        turning = moved.sign()[1:] * moved.sign()[:-1] < 0
        bounces += int(turning.sum())
        # between bounces the direction holds: the longest displacement per axis is the axis' speed
        per_axis = moved.abs().amax(0)
        assert math.hypot(*per_axis.tolist()) == pytest.approx(speed, abs=1.5)  # rounding: 1 per axis at most
        inside = ((place[:-1] > speed) & (place[:-1] < room - speed)) & (
            (place[1:] > speed) & (place[1:] < room - speed)
        )
        assert ((moved.abs() - per_axis).abs()[inside] <= 1).all()
        away = turning.nonzero()
        edge = torch.minimum(place, room - place)[1:-1]
        assert (edge[away[:, 0], away[:, 1]] <= speed).all()  # it turns only at an edge
    assert bounces > 10


def test_two_digits_are_where_each_would_be_the_brighter_pixel_showing() -> None:
    film = films(draw_moving_digits(MovingDigits(digits=2, size=8, train_size=40, held_out=1)))
    single = {image.tobytes() for image in (read_digits().x[:, 0] / 16).numpy()}
    frames = film[:, 0]
    assert all(torch.equal(frame, other) for frame, other in zip(frames, film[:, -1], strict=True))
    assert not seen(frames) <= single
    pool = torch.stack([torch.frombuffer(bytearray(b), dtype=torch.float32).view(8, 8) for b in single])
    for frame in frames[:5]:  # both digits stand in the same place: some pair's maximum
        under = pool[(pool <= frame).flatten(1).all(1)]
        pairs = torch.maximum(under[:, None], under[None])
        assert (pairs == frame).flatten(2).all(2).any()


def test_training_and_held_out_sequences_show_different_digits() -> None:
    # In a frame of a digit's own size nothing moves: each sequence is its digit.
    drawn = draw_moving_digits(MovingDigits(digits=1, size=8, train_size=3_000, held_out=1_000))
    train, held_out = (seen(films(drawn, split)[:, 0]) for split in ("train", "held_out"))
    everything = seen(read_digits().x[:, 0] / 16)
    assert train | held_out <= everything
    assert len(train) > 1_000
    assert len(held_out) > 250
    assert not train & held_out


def test_training_and_held_out_digits_move_along_different_paths() -> None:
    drawn = draw_moving_digits(MovingDigits(digits=1, size=64, train_size=5, held_out=5))
    rows = torch.arange(64.0)
    train, held_out = (films(drawn, split).sum(3) for split in ("train", "held_out"))
    centres = [(mass * rows).sum(2) / mass.sum(2) for mass in (train, held_out)]
    assert ((centres[0] - centres[1]).abs().amax(1) > SPRITE).all()


def test_the_same_seed_draws_the_same_sequences_and_another_seed_others() -> None:
    first, again, other = (draw_moving_digits(MovingDigits(train_size=9, seed=seed)) for seed in (3, 3, 4))
    for name, tensor in vars(first).items():
        assert torch.equal(tensor, getattr(again, name))
        assert not torch.equal(tensor, getattr(other, name))


@pytest.mark.parametrize("few", [1, 7, 100])
def test_a_sequence_does_not_depend_on_how_many_there_are(few: int) -> None:
    many = draw_moving_digits(MovingDigits(train_size=333, held_out=150))
    less = draw_moving_digits(MovingDigits(train_size=few, held_out=few))
    for name, tensor in vars(less).items():
        assert torch.equal(tensor, getattr(many, name)[:few])


def test_predicted_frames_go_on_where_the_given_ones_end() -> None:
    whole = films(draw_moving_digits(MovingDigits(train_size=4, given=10, predicted=10)))
    other = films(draw_moving_digits(MovingDigits(train_size=4, given=4, predicted=16)))
    assert torch.equal(whole, other)


def test_mnist_moves_in_larger_frames(data_root: Path) -> None:
    root = str(data_root / "mnist")
    drawn = draw_moving_digits(MovingDigits(root=root, digits=1, size=28, train_size=50, held_out=50))
    train, test = read_mnist(root, "MNIST")
    assert seen(films(drawn)[:, 0]) <= seen(train.x[:, 0].float() / 255)
    assert seen(films(drawn, "held_out")[:, 0]) <= seen(test.x[:, 0].float() / 255)
    assert draw_moving_digits(MovingDigits(root=root, train_size=2)).train_x.shape == (2, 10, 1, 64, 64)


def test_the_mean_frame_scores_the_cross_entropy_of_its_pixels() -> None:
    drawn = draw_moving_digits(MovingDigits(train_size=50, held_out=10, predicted=3))
    mean = drawn.train_y.double().mean((0, 1), keepdim=True).clamp(1e-4, 1 - 1e-4)
    target = drawn.val_y.double()
    pixels = F.binary_cross_entropy(mean.expand_as(target), target, reduction="none")
    loss = mean_frame_loss(drawn.train_y, drawn.val_y)
    torch.testing.assert_close(loss, pixels.sum((2, 3, 4)).mean(0))
    assert loss.shape == (3,)


def test_a_pixel_never_lit_in_training_costs_no_infinity() -> None:
    dark, lit = torch.zeros(4, 2, 1, 3, 3), torch.ones(5, 2, 1, 3, 3)
    expected = torch.full((2,), 9 * -math.log(1e-4), dtype=torch.float64)
    torch.testing.assert_close(mean_frame_loss(dark, lit), expected)
    torch.testing.assert_close(mean_frame_loss(lit, dark), expected)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": 7}, "data.size=7: must be at least 8"),
        ({"root": "folder", "size": 27}, "data.size=27: must be at least 28"),
        ({"root": ""}, "data.root=: must be the folder"),
        ({"digits": 0}, "data.digits=0: must be at least 1"),
        ({"predicted": 0}, "data.predicted=0: must be at least 1"),
        ({"train_size": 900_000}, "must be at most 4,000,000,000"),
    ],
)
def test_senseless_numbers_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        MovingDigits(**wrong)  # type: ignore[arg-type]
