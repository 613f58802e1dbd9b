from __future__ import annotations

import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vanishgrad.choices.data import CIFAR10, load
from vanishgrad.choices.data.image_files import read_cifar10, unpickled
from vanishgrad.errors import SettingError

Array = np.ndarray[Any, np.dtype[np.uint8]]
NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
PIXELS = np.random.default_rng(0).integers(0, 256, (6, 2, 3072), dtype=np.uint8)  # two images per file
LABELS = np.arange(12, dtype=np.uint8).reshape(6, 2) % 10


def binary(pixels: Array, labels: Array) -> bytes:
    return b"".join(bytes([label]) + row.tobytes() for label, row in zip(labels, pixels, strict=True))


def python_3(pixels: Array, labels: Array) -> bytes:
    return pickle.dumps({"data": pixels, "labels": labels.tolist()}, protocol=4)


def python_2(pixels: Array, labels: Array) -> bytes:
    """The opcodes of a pickle that Python 2 and its numpy wrote, as in the published files."""
    raw = pixels.tobytes()
    return (
        b"\x80\x02}(U\x06labels](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
        b"U\x04data"
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01" + b"K" + bytes([len(pixels)]) + b"M\x00\x0c\x86"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T" + struct.pack("<i", len(raw)) + raw + b"tbu."
    )


VERSIONS = [("cifar-10-batches-bin", ".bin", binary)] + [
    ("cifar-10-batches-py", "", writer) for writer in (python_2, python_3)
]


def write_cifar(folder: Path, suffix: str, writer: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels, labels in zip(NAMES, PIXELS, LABELS, strict=True):
        (folder / f"{name}{suffix}").write_bytes(writer(pixels, labels))


@pytest.mark.parametrize(("subfolder", "suffix", "writer"), VERSIONS)
@pytest.mark.parametrize("unpacked_here", [True, False])
def test_every_published_version_comes_back_as_written(
    tmp_path: Path, subfolder: str, suffix: str, writer: Any, unpacked_here: bool
) -> None:
    write_cifar(tmp_path / subfolder if unpacked_here else tmp_path, suffix, writer)
    train, test = read_cifar10(str(tmp_path))
    assert torch.equal(train.x.flatten(1), torch.from_numpy(PIXELS[:5].reshape(10, 3072)))
    assert torch.equal(test.x.flatten(1), torch.from_numpy(PIXELS[5]))
    assert train.y.tolist() == LABELS[:5].ravel().tolist()
    assert test.y.tolist() == LABELS[5].tolist()
    assert train.x.shape == (10, 3, 32, 32)


def test_every_colour_is_standardized_by_itself(tmp_path: Path) -> None:
    write_cifar(tmp_path, ".bin", binary)
    data = load(CIFAR10(root=str(tmp_path), train_size=7))
    x = data.train_x.double()
    assert len(x) == 7
    torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(3).double(), rtol=0, atol=1e-6)
    torch.testing.assert_close(x.var((0, 2, 3), correction=0), torch.ones(3).double(), rtol=1e-5, atol=0)
    assert data.val_y.tolist() == LABELS[5].tolist()


@pytest.mark.parametrize(
    ("suffix", "writer", "damage", "rule"),
    [
        (".bin", binary, lambda content: content[:-1], "6145 bytes are not a multiple of 3073"),
        ("", python_2, lambda content: content[:-100], "cannot be read: "),
        ("", python_3, lambda content: content[:50], "cannot be read: "),
        ("", python_3, lambda content: b"not a pickle", "cannot be read: "),
        ("", python_3, lambda content: pickle.dumps({"data": [0]}), "cannot be read: "),
        ("", python_3, lambda content: python_3(PIXELS[0], LABELS[0, :1]), "has 2 images, 1 labels"),
    ],
)
def test_a_damaged_batch_is_named_with_its_folder(
    tmp_path: Path, suffix: str, writer: Any, damage: Any, rule: str
) -> None:
    write_cifar(tmp_path, suffix, writer)
    path = tmp_path / f"data_batch_3{suffix}"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SettingError) as error:
        read_cifar10(str(tmp_path))
    assert str(error.value).startswith(f"data.root={tmp_path}: {path} ")
    assert rule in str(error.value)


def test_a_label_beyond_the_classes_is_refused(tmp_path: Path) -> None:
    write_cifar(tmp_path, ".bin", binary)
    (tmp_path / "test_batch.bin").write_bytes(binary(PIXELS[5], LABELS[5] + 9))
    with pytest.raises(SettingError, match=r"test_batch in .*: labels are from 9 to 10, must be from 0 to 9"):
        read_cifar10(str(tmp_path))


def test_a_missing_batch_is_named(tmp_path: Path) -> None:
    write_cifar(tmp_path, ".bin", binary)
    (tmp_path / "test_batch.bin").unlink()
    with pytest.raises(
        SettingError, match=f"^data.root={tmp_path}: test_batch.bin is missing in {tmp_path}$"
    ):
        read_cifar10(str(tmp_path))


@pytest.mark.parametrize("root", [".", "/nowhere", "~nobody-of-this-name/x", "x" * 5000])
def test_a_folder_without_the_files_is_told_what_belongs_there(root: str) -> None:
    with pytest.raises(SettingError, match=r"neither data_batch_1.bin \(binary version\) nor data_batch_1 "):
        load(CIFAR10(root=root))


class Intruder:
    """Pickles as a call of exit."""

    def __reduce__(self) -> Any:
        return exit, (3,)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    write_cifar(tmp_path, "", python_3)
    (tmp_path / "test_batch").write_bytes(pickle.dumps({"data": Intruder(), "labels": []}))
    with pytest.raises(SettingError, match="only numpy arrays are admitted"):
        read_cifar10(str(tmp_path))


def test_the_unpickler_admits_numbers_text_containers_and_arrays() -> None:
    value = {"a": [1, 2.5, "x", None, (True,)], "b": np.eye(2, dtype=np.float32)}
    back = unpickled(pickle.dumps(value, protocol=4))
    assert back["a"] == value["a"]
    np.testing.assert_array_equal(back["b"], np.eye(2))
