"""Images of ten classes."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias, get_args

import numpy as np
import torch

from vanishgrad.choices.data.dataset import (
    Dataset,
    Examples,
    Scale,
    check_root,
    check_scale,
    check_size,
    choose,
    hold_out,
    in_time,
    scaled,
)
from vanishgrad.choices.data.image_files import fetch, read_cifar10, read_mnist
from vanishgrad.choices.protocol import Data
from vanishgrad.errors import SettingError, one_of

Unit: TypeAlias = Literal["rows", "pixels"]  # of a sequence


def _shape(image: tuple[int, int, int], sequence: str | None) -> tuple[int, ...]:
    """Of an example: the image `(channels, height, width)`, or `(time, features)` read as a sequence."""
    channels, height, width = image
    if sequence is None:
        return image
    return (height, channels * width) if sequence == "rows" else (height * width, channels)


@dataclass(frozen=True)
class Digits(Data):
    """1,797 real handwritten digits, 8x8 pixels, 10 classes (Alpaydin and Kaynak 1998).

    They come with scikit-learn. There is no published test set: what is not trained on is held out.

    Arguments:
        train_size: training examples; null takes 80 % of all, 1,437.
        scale: standard (zero mean, unit variance over the training pixels) or unit (pixels in [0, 1]).
        seed: of the random split, independent of the run's seed; a smaller train_size takes a part of the
            same examples. null splits in file order.
        sequence: rows or pixels, read one per time step from the top left; null keeps the image.
    """

    train_size: int | None = None
    scale: Scale = "standard"
    seed: int | None = 0
    sequence: Unit | None = None
    name: ClassVar[str] = "digits"
    default_loss: ClassVar[str] = "cross_entropy"
    image: ClassVar[tuple[int, int, int]] = (1, 8, 8)
    outputs: ClassVar[int] = 10
    symbols: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        _check(self.scale, self.sequence)
        check_size(self.train_size, 1_796)

    @property
    def shape(self) -> tuple[int, ...]:
        return _shape(self.image, self.sequence)

    @property
    def probabilities(self) -> bool:
        return self.scale == "unit"

    def load(self) -> Dataset:
        split = hold_out(read_digits(), self.train_size, self.seed)
        return in_time(scaled(*split, self.scale), self.sequence)


@dataclass(frozen=True)
class MNIST(Data):
    """70,000 handwritten digits, 28x28 pixels, 10 classes (LeCun et al. 1998).

    The published test set is held out, all of it.

    Arguments:
        root: folder of the IDX files, gzipped or not, or of a torchvision download (MNIST/raw); null
            downloads mnist_784 once through scikit-learn's OpenML client.
        train_size: training examples, drawn from the published training set; null takes all of it.
        scale: standard (zero mean, unit variance over the training pixels) or unit (pixels in [0, 1]).
        seed: of the draw of train_size examples, independent of the run's seed; a smaller train_size takes
            a part of the same examples. null takes the first in file order. All of them need no draw.
        sequence: rows or pixels, read one per time step from the top left; null keeps the image.
    """

    root: str | None = None
    train_size: int | None = None
    scale: Scale = "standard"
    seed: int | None = 0
    sequence: Unit | None = None
    name: ClassVar[str] = "mnist"
    default_loss: ClassVar[str] = "cross_entropy"
    image: ClassVar[tuple[int, int, int]] = (1, 28, 28)
    outputs: ClassVar[int] = 10
    symbols: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        _check(self.scale, self.sequence, self.root)
        check_size(self.train_size, 60_000)

    @property
    def shape(self) -> tuple[int, ...]:
        return _shape(self.image, self.sequence)

    @property
    def probabilities(self) -> bool:
        return self.scale == "unit"

    def load(self) -> Dataset:
        if self.root is None:
            train, test = fetch("mnist_784", self.image, train_examples=60_000)
        else:
            train, test = read_mnist(self.root, "MNIST")
        return _published(self, train, test)


@dataclass(frozen=True)
class FashionMNIST(Data):
    """70,000 photographs of clothes, 28x28 pixels, 10 classes (Xiao et al. 2017).

    The published test set is held out, all of it.

    Arguments:
        root: folder of the IDX files, gzipped or not, or of a torchvision download (FashionMNIST/raw); null
            downloads Fashion-MNIST once through scikit-learn's OpenML client.
        train_size: training examples, drawn from the published training set; null takes all of it.
        scale: standard (zero mean, unit variance over the training pixels) or unit (pixels in [0, 1]).
        seed: of the draw of train_size examples, independent of the run's seed; a smaller train_size takes
            a part of the same examples. null takes the first in file order. All of them need no draw.
        sequence: rows or pixels, read one per time step from the top left; null keeps the image.
    """

    root: str | None = None
    train_size: int | None = None
    scale: Scale = "standard"
    seed: int | None = 0
    sequence: Unit | None = None
    name: ClassVar[str] = "fashion_mnist"
    default_loss: ClassVar[str] = "cross_entropy"
    image: ClassVar[tuple[int, int, int]] = (1, 28, 28)
    outputs: ClassVar[int] = 10
    symbols: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        _check(self.scale, self.sequence, self.root)
        check_size(self.train_size, 60_000)

    @property
    def shape(self) -> tuple[int, ...]:
        return _shape(self.image, self.sequence)

    @property
    def probabilities(self) -> bool:
        return self.scale == "unit"

    def load(self) -> Dataset:
        if self.root is None:
            train, test = fetch("Fashion-MNIST", self.image, train_examples=60_000)
        else:
            train, test = read_mnist(self.root, "FashionMNIST")
        return _published(self, train, test)


@dataclass(frozen=True)
class CIFAR10(Data):
    """60,000 colour photographs, 3x32x32 pixels, 10 classes (Krizhevsky 2009).

    The published test set is held out, all of it.

    Arguments:
        root: folder of the binary or the python version, or the folder that it was unpacked in; null
            downloads CIFAR_10 once through scikit-learn's OpenML client.
        train_size: training examples, drawn from the published training set; null takes all of it.
        scale: standard (zero mean, unit variance per colour over the training pixels), or
            unit (pixels in [0, 1]).
        seed: of the draw of train_size examples, independent of the run's seed; a smaller train_size takes
            a part of the same examples. null takes the first in file order. All of them need no draw.
        sequence: rows or pixels, read one per time step from the top left; null keeps the image.
    """

    root: str | None = None
    train_size: int | None = None
    scale: Scale = "standard"
    seed: int | None = 0
    sequence: Unit | None = None
    name: ClassVar[str] = "cifar10"
    default_loss: ClassVar[str] = "cross_entropy"
    image: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    outputs: ClassVar[int] = 10
    symbols: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        _check(self.scale, self.sequence, self.root)
        check_size(self.train_size, 50_000)

    @property
    def shape(self) -> tuple[int, ...]:
        return _shape(self.image, self.sequence)

    @property
    def probabilities(self) -> bool:
        return self.scale == "unit"

    def load(self) -> Dataset:
        if self.root is None:
            train, test = fetch("CIFAR_10", self.image, train_examples=50_000)
        else:
            train, test = read_cifar10(self.root)
        return _published(self, train, test)


def _check(scale: str, sequence: str | None, root: str | None = None) -> None:
    check_root(root)
    check_scale(scale)
    if sequence is not None:
        one_of("data.sequence", sequence, (*get_args(Unit), "null"))


def read_digits() -> Examples:
    """All 1,797 digits, `(1797, 1, 8, 8)` with values 0 to 16, in file order."""
    with gzip.open(_path(), "rt", encoding="ascii") as file:
        table = torch.from_numpy(np.loadtxt(file, np.float32, delimiter=","))  # (1797, 64 pixels + label)
    return Examples(table[:, :64].reshape(-1, 1, 8, 8), table[:, 64].long(), (0.0, 16.0))


def _path() -> Path:
    """The file inside scikit-learn, which is not imported: that alone takes more than a second."""
    package = find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise SettingError("data=digits: needs scikit-learn, which carries them (pip install scikit-learn)")
    return Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"


def _published(data: MNIST | FashionMNIST | CIFAR10, train: Examples, test: Examples) -> Dataset:
    """The part of a published training set that is trained on, and its test set."""
    chosen = choose(train, data.train_size, data.seed)
    return in_time(scaled(chosen, test, data.scale), data.sequence)
