"""CIFAR-10 in its two published forms, binary and python (https://www.cs.toronto.edu/~kriz/cifar.html)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vanishgrad.data import numpy_pickle
from vanishgrad.data.dataset import Examples
from vanishgrad.data.images import images
from vanishgrad.errors import SettingError, require

TRAIN = [f"data_batch_{number}" for number in range(1, 6)]
TEST = ["test_batch"]
PIXELS = 3 * 32 * 32

Batch = tuple[NDArray[np.uint8], NDArray[np.integer]]
Reader = Callable[[bytes], Batch]


def read_cifar10(root: str) -> tuple[Examples, Examples]:
    """Training and test images, `(n, 3, 32, 32)`, from the six files of one of the two versions."""
    folder, suffix, reader = _find(root)
    return _read(root, folder, suffix, reader, TRAIN), _read(root, folder, suffix, reader, TEST)


def _find(root: str) -> tuple[Path, str, Reader]:
    """The folder of the files, what their names end in, and how to read one."""
    top = Path(os.path.expanduser(root))
    versions: tuple[tuple[str, str, Reader], ...] = (
        ("cifar-10-batches-bin", ".bin", _read_binary),
        ("cifar-10-batches-py", "", _read_pickle),
    )
    for name, suffix, reader in versions:
        for folder in (top, top / name):
            # Path.is_file raises for a name that is too long or not allowed.
            if os.path.isfile(folder / f"{TRAIN[0]}{suffix}"):
                return folder, suffix, reader
    raise SettingError(
        f"data.root={root}: neither {TRAIN[0]}.bin (binary version) nor {TRAIN[0]} (python version) is in "
        f"that folder, its {versions[0][0]} or its {versions[1][0]}"
    )


def _read(root: str, folder: Path, suffix: str, reader: Reader, names: list[str]) -> Examples:
    batches = [_read_batch(root, folder / f"{name}{suffix}", reader) for name in names]
    pixels = np.concatenate([pixels for pixels, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    return images(pixels.reshape(-1, 3, 32, 32), labels, f"data.root={root}: {', '.join(names)} in {folder}")


def _read_batch(root: str, path: Path, reader: Reader) -> Batch:
    require(path.is_file(), f"data.root={root}: {path.name} is missing in {path.parent}")
    try:
        pixels, labels = reader(path.read_bytes())
    except Exception as error:  # bytes that are no pickle can make the unpickler raise anything
        raise SettingError(f"data.root={root}: {path} cannot be read: {error}") from error
    require(
        len(pixels) == len(labels), f"data.root={root}: {path} has {len(pixels)} images, {len(labels)} labels"
    )
    return pixels, labels


def _read_binary(content: bytes) -> Batch:
    """Records of one byte label, then 3072 bytes of red, green and blue rows."""
    if len(content) % (1 + PIXELS):
        raise ValueError(f"{len(content)} bytes are not a multiple of {1 + PIXELS}: truncated or corrupt")
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + PIXELS)
    return records[:, 1:], records[:, 0]


def _read_pickle(content: bytes) -> Batch:
    """A pickled dictionary of `data`, `(n, 3072)` in the order of the binary version, and `labels`."""
    batch = numpy_pickle.loads(content)
    return np.asarray(batch["data"], np.uint8).reshape(-1, PIXELS), np.asarray(batch["labels"], np.int64)
