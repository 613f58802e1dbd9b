"""filters.npz: the first layer at the start, pretrained and trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vanishgrad import Run, build, train
from vanishgrad.choices.activation import Sigmoid
from vanishgrad.choices.data import Digits
from vanishgrad.choices.model.feedforward import CNN
from vanishgrad.choices.pretraining import Autoencoder

PRETRAINED = Run(
    depth=2, width=9, act=Sigmoid(), pretrain=Autoencoder(epochs=1), max_steps=5,
    data=Digits(train_size=128, scale="unit"),
)  # fmt: skip


def test_each_moment_is_of_its_own_time(tmp_path: Path) -> None:
    train(PRETRAINED, tmp_path)
    moments = np.load(tmp_path / "filters.npz")
    assert set(moments) == {"start", "pretrained", "trained"}
    first = next(build(PRETRAINED).parameters()).detach().numpy()
    np.testing.assert_array_equal(moments["start"].reshape(9, -1), first)
    assert not np.allclose(moments["pretrained"], moments["start"])
    assert not np.allclose(moments["trained"], moments["pretrained"])


def test_convolutions_have_theirs_too(tmp_path: Path) -> None:
    train(Run(model=CNN(), depth=2, width=4, max_steps=5, data=Digits(train_size=128)), tmp_path)
    moments = np.load(tmp_path / "filters.npz")
    assert set(moments) == {"start", "trained"}
    assert not np.allclose(moments["start"], moments["trained"])
