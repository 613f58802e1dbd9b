"""The IDX format of MNIST and Fashion-MNIST (http://yann.lecun.com/exdb/mnist)."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vanishgrad.data.dataset import Examples
from vanishgrad.data.images import images
from vanishgrad.errors import SettingError, require

UNSIGNED_BYTE = 0x08


def read_mnist(root: str, collection: str) -> tuple[Examples, Examples]:
    """Training and test images, `(n, 1, 28, 28)`, from the four standard files.

    Arguments:
        root: their folder, or the root of a torchvision download.
        collection: torchvision's name of the data, MNIST or FashionMNIST.
    """
    return _read_part(root, collection, "train"), _read_part(root, collection, "t10k")


def _read_part(root: str, collection: str, part: str) -> Examples:
    pixels = _find(root, collection, f"{part}-images-idx3-ubyte")
    labels = _find(root, collection, f"{part}-labels-idx1-ubyte")
    x = _read_idx(root, pixels, dimensions=3)
    size = f"{x.shape[1]}x{x.shape[2]}"
    require(size == "28x28", f"data.root={root}: {pixels} holds images of {size} pixels, must be 28x28")
    y = _read_idx(root, labels, dimensions=1)
    return images(x[:, None], y, f"data.root={root}: {pixels} and {labels}")


def _find(root: str, collection: str, name: str) -> Path:
    folder = Path(os.path.expanduser(root))
    for place in (folder, folder / "raw", folder / collection / "raw"):
        for file in (place / name, place / f"{name}.gz"):
            # Path.is_file raises for a name that is too long or not allowed.
            if os.path.isfile(file):
                return file
    raise SettingError(
        f"data.root={root}: {name} or {name}.gz is neither in that folder nor in its {collection}/raw"
    )


def _read_idx(root: str, path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array of unsigned bytes in an IDX file, its header checked against the rest."""
    content = _content(root, path)
    start = 4 + 4 * dimensions
    require(len(content) >= start, f"data.root={root}: {path} is truncated: {len(content)} bytes")
    magic, *shape = struct.unpack_from(f">{1 + dimensions}I", content)
    expected = UNSIGNED_BYTE << 8 | dimensions
    require(
        magic == expected,
        f"data.root={root}: {path} is not the file its name says: magic number {magic}, must be {expected}",
    )
    size = start + math.prod(shape)
    require(
        len(content) == size,
        f"data.root={root}: {path} has {len(content)} bytes, its header says {size}: truncated or corrupt",
    )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


def _content(root: str, path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise SettingError(f"data.root={root}: {path} cannot be read: {error}") from error
