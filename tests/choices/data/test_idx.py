from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vanishgrad.choices.data import MNIST, FashionMNIST, load
from vanishgrad.choices.data.image_files import read_mnist
from vanishgrad.errors import SettingError

Array = np.ndarray[Any, np.dtype[np.uint8]]
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 28, 28), dtype=np.uint8)
LABELS = np.arange(12, dtype=np.uint8) % 10


def idx(array: Array) -> bytes:
    """The IDX bytes of an array of unsigned bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write(folder: Path, name: str, content: bytes, zipped: bool = False) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / (f"{name}.gz" if zipped else name)
    file.write_bytes(gzip.compress(content) if zipped else content)


def write_mnist(folder: Path, zipped: bool = False) -> None:
    """A training set of the first 8 images and a test set of the last 4."""
    for part, rows in (("train", slice(8)), ("t10k", slice(8, None))):
        write(folder, f"{part}-images-idx3-ubyte", idx(PIXELS[rows]), zipped)
        write(folder, f"{part}-labels-idx1-ubyte", idx(LABELS[rows]), zipped)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("place", [".", "raw", "MNIST/raw"])
def test_idx_files_come_back_as_written(tmp_path: Path, place: str, zipped: bool) -> None:
    write_mnist(tmp_path / place, zipped)
    train, test = read_mnist(str(tmp_path), "MNIST")
    assert torch.equal(train.x[:, 0], torch.from_numpy(PIXELS[:8]))
    assert torch.equal(test.x[:, 0], torch.from_numpy(PIXELS[8:]))
    assert train.y.tolist() == LABELS[:8].tolist()
    assert test.y.tolist() == LABELS[8:].tolist()


def test_each_collection_finds_its_own_files_in_a_torchvision_root(tmp_path: Path) -> None:
    write_mnist(tmp_path / "MNIST" / "raw")
    write_mnist(tmp_path / "FashionMNIST" / "raw")
    write(tmp_path / "FashionMNIST" / "raw", "t10k-labels-idx1-ubyte", idx(LABELS[:4] + 5))
    assert load(MNIST(root=str(tmp_path))).val_y.tolist() == LABELS[8:].tolist()
    assert load(FashionMNIST(root=str(tmp_path))).val_y.tolist() == [5, 6, 7, 8]


def test_a_home_folder_may_be_abbreviated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    write_mnist(tmp_path / "images")
    assert len(read_mnist("~/images", "MNIST")[0]) == 8


def test_train_size_never_touches_the_test_set(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    root = str(tmp_path)
    first = load(MNIST(root=root, train_size=3, seed=None, scale="unit"))
    drawn = load(MNIST(root=root, train_size=3, seed=0, scale="unit"))
    assert torch.equal(first.train_x[:, 0], torch.from_numpy(PIXELS[:3]) / 255)
    assert not torch.equal(drawn.train_x, first.train_x)
    for data in (first, drawn):
        assert torch.equal(data.val_x[:, 0], torch.from_numpy(PIXELS[8:]) / 255)


def test_the_scale_is_measured_after_the_training_examples_are_chosen(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    x = load(MNIST(root=str(tmp_path), train_size=3)).train_x.double()
    assert x.mean().item() == pytest.approx(0, abs=1e-6)
    assert x.var(correction=0).item() == pytest.approx(1, rel=1e-5)


def test_more_training_examples_than_the_files_hold_are_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path)
    with pytest.raises(SettingError, match=r"data.train_size=9: must be at most 8"):
        load(MNIST(root=str(tmp_path), train_size=9))


def test_as_many_images_as_one_likes_are_read(tmp_path: Path) -> None:
    many = np.resize(PIXELS, (1000, *PIXELS.shape[1:]))
    write_mnist(tmp_path)
    write(tmp_path, IMAGES, idx(many))
    write(tmp_path, TRAIN_LABELS, idx(np.resize(LABELS, 1000)))
    train, _ = read_mnist(str(tmp_path), "MNIST")
    assert torch.equal(train.x[:, 0], torch.from_numpy(many))
    assert len(train.y) == 1000


IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        (IMAGES, idx(PIXELS[:8])[:-1], "has 6287 bytes, its header says 6288: truncated or corrupt"),
        (IMAGES, idx(PIXELS[:8])[:9], "is truncated: 9 bytes"),
        (IMAGES, b"", "is truncated: 0 bytes"),
        (IMAGES, idx(LABELS) * 2, "is not the file its name says: magic number 2049, must be 2051"),
        (IMAGES, idx(PIXELS[:8, :20]), "holds images of 20x28 pixels, must be 28x28"),
        (IMAGES, idx(PIXELS[:0]), "there are no images"),
        (IMAGES, idx(PIXELS[:7]), "there are 7 images, but 8 labels"),
        (TRAIN_LABELS, idx(LABELS[:8] + 3), "labels are from 3 to 10, must be from 0 to 9"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(
    tmp_path: Path, name: str, content: bytes, rule: str
) -> None:
    write_mnist(tmp_path)
    write(tmp_path, name, content)
    with pytest.raises(SettingError) as error:
        read_mnist(str(tmp_path), "MNIST")
    assert str(error.value).startswith(f"data.root={tmp_path}: ")
    assert str(tmp_path / name) in str(error.value)
    assert str(error.value).endswith(rule)


@pytest.mark.parametrize("name", [IMAGES, "t10k-labels-idx1-ubyte"])
def test_a_missing_file_is_named_with_its_folder(tmp_path: Path, name: str) -> None:
    write_mnist(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(SettingError) as error:
        read_mnist(str(tmp_path), "MNIST")
    assert str(error.value) == (
        f"data.root={tmp_path}: {name} or {name}.gz is neither in that folder nor in its MNIST/raw"
    )


@pytest.mark.parametrize("root", ["/nowhere", "~nobody-of-this-name/x", "x" * 5000])
def test_a_folder_that_does_not_exist_is_named(root: str) -> None:
    with pytest.raises(SettingError, match=f"^data.root={root}: train-images-idx3-ubyte or "):
        load(MNIST(root=root))


@pytest.mark.parametrize("damage", [lambda zipped: zipped[:-20], lambda zipped: zipped[20:]])
def test_a_damaged_gzip_file_is_named(tmp_path: Path, damage: Any) -> None:
    write_mnist(tmp_path, zipped=True)
    path = tmp_path / f"{IMAGES}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SettingError) as error:
        read_mnist(str(tmp_path), "MNIST")
    assert str(error.value).startswith(f"data.root={tmp_path}: {path} cannot be read: ")


def test_real_mnist_reads_as_published(data_root: Path) -> None:
    root = data_root / "mnist"
    if not root.is_dir():
        pytest.skip(f"no MNIST in {root}")
    train, test = read_mnist(str(root), "MNIST")
    assert test.x.shape == (10_000, 1, 28, 28)
    # Labels and statistics of the published files: class counts of the test set, its mean and deviation.
    assert test.y.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test.x.double().mean().item() / 255 == pytest.approx(0.1325, abs=1e-4)
    assert test.x.double().std().item() / 255 == pytest.approx(0.3105, abs=1e-4)
    data = load(MNIST(root=str(root), train_size=5000))
    assert data.train_x.double().mean().item() == pytest.approx(0, abs=1e-5)
    assert data.train_x.double().std(correction=0).item() == pytest.approx(1, rel=1e-5)
