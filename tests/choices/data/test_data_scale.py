from __future__ import annotations

import numpy as np
import pytest
import torch

from vanishgrad.choices.data.dataset import Examples, scaled


def photographs(count: int, seed: int) -> Examples:
    """uint8 images `(count, 3, 4, 4)` whose channels differ in level and spread."""
    rng = np.random.default_rng(seed)
    levels = rng.integers((0, 50, 200), (256, 150, 220), size=(count, 4, 4, 3))
    x = torch.from_numpy(levels.astype(np.uint8)).permute(0, 3, 1, 2).contiguous()
    return Examples(x, torch.arange(count), bounds=(0.0, 255.0))


def test_standard_inputs_have_zero_mean_and_unit_variance_per_channel() -> None:
    x = scaled(photographs(50, 0), photographs(20, 1), "standard").train_x.double().numpy()
    np.testing.assert_allclose(x.mean(axis=(0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(x.var(axis=(0, 2, 3)), 1, rtol=1e-5)


def test_held_out_inputs_are_scaled_by_the_statistics_of_the_training_inputs() -> None:
    train, held_out = photographs(50, 0), photographs(20, 1)
    seen = train.x.numpy().astype(float)
    mean, std = (f(seen, axis=(0, 2, 3), keepdims=True) for f in (np.mean, np.std))
    expected = (held_out.x.numpy() - mean) / std
    np.testing.assert_allclose(scaled(train, held_out, "standard").val_x.numpy(), expected, atol=1e-5)


def test_standard_scales_each_coordinate_of_points() -> None:
    points = Examples(torch.tensor([[1.0, 10.0], [3.0, 50.0]]), torch.tensor([0, 1]), bounds=None)
    assert scaled(points, points, "standard").train_x.tolist() == [[-1.0, -1.0], [1.0, 1.0]]


def test_unit_images_are_their_bytes_over_255() -> None:
    train, held_out = photographs(5, 0), photographs(5, 1)
    data = scaled(train, held_out, "unit")
    assert torch.equal(data.train_x, train.x.float() / 255)
    assert torch.equal(data.val_x, held_out.x.float() / 255)


def test_unit_points_fill_the_range_of_the_training_points() -> None:
    train = Examples(torch.tensor([[0.0, -2.0], [4.0, 2.0], [1.0, 0.0]]), torch.zeros(3).long(), bounds=None)
    data = scaled(train, train.take(torch.tensor([2])), "unit")
    assert data.train_x.tolist() == [[0.0, 0.0], [1.0, 1.0], [0.25, 0.5]]
    assert data.val_x.tolist() == [[0.25, 0.5]]


@pytest.mark.parametrize("scale", ["standard", "unit"])
def test_a_coordinate_that_never_varies_becomes_zero(scale: str) -> None:
    point = Examples(torch.tensor([[0.3, 7.0]]), torch.zeros(1).long(), bounds=None)
    assert scaled(point, point, scale).train_x.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("scale", ["standard", "unit"])
def test_scaling_leaves_its_source_alone(scale: str) -> None:
    points = Examples(torch.tensor([[1.0, 10.0], [3.0, 50.0]]), torch.tensor([0, 1]), bounds=None)
    scaled(points, points, scale)
    assert points.x.tolist() == [[1.0, 10.0], [3.0, 50.0]]
