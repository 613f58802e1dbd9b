from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from vanishgrad.choices.data import Digits, load
from vanishgrad.choices.data.images import read_digits
from vanishgrad.errors import SettingError


def test_digits_equal_scikit_learns_own_reading() -> None:
    from sklearn.datasets import load_digits

    expected = load_digits()
    digits = read_digits()
    assert torch.equal(digits.x[:, 0].double(), torch.from_numpy(expected.images))
    assert torch.equal(digits.y, torch.from_numpy(expected.target))


def test_digits_are_read_without_importing_scikit_learn() -> None:
    program = (
        "import sys; from vanishgrad.data import load; from vanishgrad.choices.data import Digits;"
        "load(Digits()); sys.exit('sklearn' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_four_fifths_of_the_digits_are_trained_on() -> None:
    data = load(Digits())
    assert data.train_x.shape == (1437, 1, 8, 8)
    assert data.val_x.shape == (360, 1, 8, 8)
    assert (data.train_x.dtype, data.train_y.dtype) == (torch.float32, torch.int64)


def test_unit_digits_are_sixteenths_of_the_file_values() -> None:
    data = load(Digits(scale="unit", train_size=1000, seed=None))
    assert torch.equal(torch.cat([data.train_x, data.val_x]) * 16, read_digits().x)


def test_a_missing_scikit_learn_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vanishgrad.choices.data.images.find_spec", lambda name: None)
    with pytest.raises(SettingError, match="data=digits: needs scikit-learn"):
        read_digits()
