from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch

from vanishgrad.choices.data import MNIST, Digits, load
from vanishgrad.choices.data.dataset import Dataset, in_time

generator = torch.Generator().manual_seed(0)
COLOURS = Dataset(
    torch.rand(5, 3, 4, 6, generator=generator),
    torch.arange(5),
    torch.rand(2, 3, 4, 6, generator=generator),
    torch.arange(2),
)


def test_a_row_per_time_step_has_its_pixels_colour_by_colour() -> None:
    read = in_time(COLOURS, "rows")
    assert (read.train_x.shape, read.val_x.shape) == ((5, 4, 18), (2, 4, 18))
    for image, sequence in ((COLOURS.train_x, read.train_x), (COLOURS.val_x, read.val_x)):
        for n, channel, row, column in product(range(len(image)), range(3), range(4), range(6)):
            assert sequence[n, row, channel * 6 + column] == image[n, channel, row, column]


def test_a_pixel_per_time_step_has_its_colours_in_reading_order() -> None:
    read = in_time(COLOURS, "pixels")
    assert (read.train_x.shape, read.val_x.shape) == ((5, 24, 3), (2, 24, 3))
    for image, sequence in ((COLOURS.train_x, read.train_x), (COLOURS.val_x, read.val_x)):
        for n, channel, row, column in product(range(len(image)), range(3), range(4), range(6)):
            assert sequence[n, row * 6 + column, channel] == image[n, channel, row, column]


def test_labels_stay_and_without_a_sequence_images_stay() -> None:
    assert in_time(COLOURS, "rows").train_y is COLOURS.train_y
    assert in_time(COLOURS, None) is COLOURS


@pytest.mark.parametrize("scale", ["standard", "unit"])
def test_digits_are_scaled_before_they_are_read_as_a_sequence(scale: str) -> None:
    choice = Digits(scale=scale, train_size=100)
    images = load(choice)
    rows, pixels = (load(replace(choice, sequence=sequence)) for sequence in ("rows", "pixels"))
    assert torch.equal(rows.train_x, images.train_x[:, 0])
    assert torch.equal(pixels.train_x, images.train_x.reshape(100, 64, 1))
    assert torch.equal(pixels.val_x[..., 0], rows.val_x.flatten(1))
    assert torch.equal(rows.val_y, images.val_y)


def test_a_loaded_sequence_has_the_shape_that_its_choice_tells(data_root: Path) -> None:
    for sequence in ("rows", "pixels"):
        choice = MNIST(root=str(data_root / "mnist"), train_size=10, sequence=sequence)
        assert load(choice).train_x.shape == (10, *choice.shape)
