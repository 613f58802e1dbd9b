"""Reading pickles of plain numpy arrays without letting them run anything else."""

from __future__ import annotations

import gzip
import io
import math
import os
import pickle
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vanishgrad.choices.data.dataset import Examples
from vanishgrad.errors import SettingError, require


def unpickled(content: bytes) -> Any:
    """Unpickle built-in containers, strings, numbers and numpy arrays; refuse every other type or function.

    Strings that Python 2 wrote come out as latin-1, which is what numpy expects of its own data in them.
    """
    return _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()


def _dtype(code: str, align: int, copy: int) -> np.dtype[Any]:
    # Python 2 pickled 0 and 1 here, and numpy 2.4.0 to 2.4.4 warn of all but booleans.
    return np.dtype(code, align=bool(align), copy=bool(copy))


# What an array names to rebuild itself: numpy keeps the function private, and has moved it.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ADMITTED = {
    ("numpy", "dtype"): _dtype,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, and only numpy arrays are admitted")
        return _ADMITTED[module, name]


UNSIGNED_BYTE = 0x08


def read_mnist(root: str, collection: str) -> tuple[Examples, Examples]:
    """Training and test images, `(n, 1, 28, 28)`, from the four standard files.

    Arguments:
        root: their folder, or the root of a torchvision download.
        collection: torchvision's name of the data, MNIST or FashionMNIST.
    """
    return _read_part(root, collection, "train"), _read_part(root, collection, "t10k")


def _read_part(root: str, collection: str, part: str) -> Examples:
    pixels = _find_idx(root, collection, f"{part}-images-idx3-ubyte")
    labels = _find_idx(root, collection, f"{part}-labels-idx1-ubyte")
    x = _read_idx(root, pixels, dimensions=3)
    size = f"{x.shape[1]}x{x.shape[2]}"
    require(size == "28x28", f"data.root={root}: {pixels} holds images of {size} pixels, must be 28x28")
    y = _read_idx(root, labels, dimensions=1)
    return images(x[:, None], y, f"data.root={root}: {pixels} and {labels}")


def _find_idx(root: str, collection: str, name: str) -> Path:
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


TRAIN = [f"data_batch_{number}" for number in range(1, 6)]
TEST = ["test_batch"]
PIXELS = 3 * 32 * 32

Batch = tuple[NDArray[np.uint8], NDArray[np.integer]]
Reader = Callable[[bytes], Batch]


def read_cifar10(root: str) -> tuple[Examples, Examples]:
    """Training and test images, `(n, 3, 32, 32)`, from the six files of one of the two versions."""
    folder, suffix, reader = _find_batches(root)
    return _read(root, folder, suffix, reader, TRAIN), _read(root, folder, suffix, reader, TEST)


def _find_batches(root: str) -> tuple[Path, str, Reader]:
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
    batch = unpickled(content)
    return np.asarray(batch["data"], np.uint8).reshape(-1, PIXELS), np.asarray(batch["labels"], np.int64)


Table = tuple[NDArray[np.uint8], NDArray[np.int64]]


def fetch(dataset: str, shape: tuple[int, ...], train_examples: int) -> tuple[Examples, Examples]:
    """Training and test images, `(n, *shape)`, of an OpenML data set of flat images.

    OpenML keeps the published training set and behind it the published test set as one table.

    Arguments:
        dataset: its name on OpenML; version 1 is taken.
        shape: of one image: (channels, height, width).
        train_examples: rows of the published training set.
    """
    pixels, labels = _table(dataset)
    source = f"OpenML's {dataset}"
    require(
        len(pixels) > train_examples,
        f"{source}: {len(pixels)} rows, must be more than the {train_examples} training examples",
    )
    require(
        pixels.shape[1] == math.prod(shape),
        f"{source}: {pixels.shape[1]} values per image, must be {math.prod(shape)}",
    )
    x = pixels.reshape(-1, *shape)
    train, test = slice(train_examples), slice(train_examples, None)
    return images(x[train], labels[train], source), images(x[test], labels[test], source)


def _table(dataset: str) -> Table:
    """Pixels `(n, features)` and labels `(n,)`, from the archive of an earlier call if there is one."""
    archive = _home() / "vanishgrad" / f"{dataset}.npz"
    try:
        return _restore(archive)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        pass  # not there yet, or damaged: both are cured by writing it anew
    try:
        table = _download(dataset)
        _store(archive, table)
    except Exception as error:  # of the network, of the client or of the parser: there is one way out
        raise SettingError(
            f"data.root=null: downloading {dataset} from OpenML failed ({type(error).__name__}: {error}); "
            "with the standard files at hand, pass data.root=FOLDER"
        ) from error
    return table


def _home() -> Path:
    """scikit-learn's own data folder, found without the import that takes more than a second."""
    return Path(os.environ.get("SCIKIT_LEARN_DATA", "~/scikit_learn_data")).expanduser()


def _download(dataset: str) -> Table:
    from sklearn.datasets import fetch_openml

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one for each retry; a final failure is an exception
        bunch = fetch_openml(
            dataset,
            version=1,
            data_home=str(_home()),
            as_frame=False,
            parser="pandas",
            # Pixels and labels are plain numbers. Left to itself the client makes the labels a category,
            # which fails with pandas 3.1 (scikit-learn pull request 34902), and the pixels 64 bits wide.
            read_csv_kwargs={"dtype": np.float32},
        )
    return bunch.data.astype(np.uint8), bunch.target.astype(np.int64)


def _restore(archive: Path) -> Table:
    with archive.open("rb") as file, np.load(file) as arrays:
        return arrays["pixels"], arrays["labels"]


def _store(archive: Path, table: Table) -> None:
    """Keep the parsed table: parsing the download again takes many seconds and gigabytes."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    partial = archive.with_name(f"{archive.name}.{os.getpid()}")
    with partial.open("wb") as file:
        np.savez(file, pixels=table[0], labels=table[1])
    partial.replace(archive)


CLASSES = 10


def images(pixels: NDArray[np.uint8], labels: NDArray[np.integer], source: str) -> Examples:
    """Images `(n, channels, height, width)` and labels `(n,)` as tensors; `source` is what an error names."""
    require(len(pixels) > 0, f"{source}: there are no images")
    require(len(pixels) == len(labels), f"{source}: there are {len(pixels)} images, but {len(labels)} labels")
    low, high = int(labels.min()), int(labels.max())
    require(low >= 0 and high < CLASSES, f"{source}: labels are from {low} to {high}, must be from 0 to 9")
    return Examples(torch.from_numpy(pixels), torch.from_numpy(labels.astype(np.int64)), (0.0, 255.0))
