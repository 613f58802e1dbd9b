"""Images downloaded once through scikit-learn's OpenML client (https://www.openml.org)."""

from __future__ import annotations

import math
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vanishgrad.data.dataset import Examples
from vanishgrad.data.images import images
from vanishgrad.errors import SettingError, require

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
