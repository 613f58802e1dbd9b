"""Data: what is learned. A choice names its examples; `vanishgrad.data.load` reads them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

from vanishgrad.errors import at_least, one_of, require

MOST_POINTS = 10_000_000  # of a made-up data set


class Data(Protocol):
    """Examples to learn from, described without loading them.

    `scale` is "standard" (zero mean, unit variance per channel over the training inputs) or "unit"
    (inputs in [0, 1]). `seed` belongs to the data alone: runs of every seed learn from the same split.
    """

    name: ClassVar[str]
    default_loss: ClassVar[str]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        ...

    @property
    def outputs(self) -> int:
        """Outputs that a network for this data has: one per class."""
        ...

    @property
    def train_size(self) -> int | None:
        """Training examples; None leaves the number to the data."""
        ...

    @property
    def scale(self) -> str:
        """standard or unit."""
        ...

    def __hash__(self) -> int: ...


def _check_common(data: Data, most: int) -> None:
    one_of("data.scale", data.scale, ("standard", "unit"))
    size = data.train_size
    require(size is None or 1 <= size <= most, f"data.train_size={size}: must be from 1 to {most}, or null")


def _check_root(root: str | None) -> None:
    require(root != "", "data.root=: must be the folder of the files, or null to download them")


@dataclass(frozen=True)
class Digits:
    """1,797 real handwritten digits, 8x8 pixels, 10 classes (Alpaydin and Kaynak 1998).

    They come with scikit-learn. There is no published test set: what is not trained on is held out.

    Arguments:
        train_size: training examples; null takes 80 % of all, 1,437.
        scale: standard (zero mean, unit variance over the training pixels) or unit (pixels in [0, 1]).
        seed: of the random split, independent of the run's seed; a smaller train_size takes a part of the
            same examples. null splits in file order.
    """

    train_size: int | None = None
    scale: str = "standard"
    seed: int | None = 0
    name: ClassVar[str] = "digits"
    default_loss: ClassVar[str] = "cross_entropy"
    shape: ClassVar[tuple[int, ...]] = (1, 8, 8)
    outputs: ClassVar[int] = 10

    def __post_init__(self) -> None:
        _check_common(self, most=1_796)


@dataclass(frozen=True)
class MNIST:
    """70,000 handwritten digits, 28x28 pixels, 10 classes (LeCun et al. 1998).

    The published test set is held out, all of it.

    Arguments:
        root: folder of the IDX files, gzipped or not, or of a torchvision download (MNIST/raw); null
            downloads mnist_784 once through scikit-learn's OpenML client.
        train_size: training examples, drawn from the published training set; null takes all of it.
        scale: standard (zero mean, unit variance over the training pixels) or unit (pixels in [0, 1]).
        seed: of the draw of train_size examples, independent of the run's seed; a smaller train_size takes
            a part of the same examples. null takes the first in file order. All of them need no draw.
    """

    root: str | None = None
    train_size: int | None = None
    scale: str = "standard"
    seed: int | None = 0
    name: ClassVar[str] = "mnist"
    default_loss: ClassVar[str] = "cross_entropy"
    shape: ClassVar[tuple[int, ...]] = (1, 28, 28)
    outputs: ClassVar[int] = 10

    def __post_init__(self) -> None:
        _check_root(self.root)
        _check_common(self, most=60_000)


@dataclass(frozen=True)
class FashionMNIST:
    """70,000 photographs of clothes, 28x28 pixels, 10 classes (Xiao et al. 2017).

    The published test set is held out, all of it.

    Arguments:
        root: folder of the IDX files, gzipped or not, or of a torchvision download (FashionMNIST/raw); null
            downloads Fashion-MNIST once through scikit-learn's OpenML client.
        train_size: training examples, drawn from the published training set; null takes all of it.
        scale: standard (zero mean, unit variance over the training pixels) or unit (pixels in [0, 1]).
        seed: of the draw of train_size examples, independent of the run's seed; a smaller train_size takes
            a part of the same examples. null takes the first in file order. All of them need no draw.
    """

    root: str | None = None
    train_size: int | None = None
    scale: str = "standard"
    seed: int | None = 0
    name: ClassVar[str] = "fashion_mnist"
    default_loss: ClassVar[str] = "cross_entropy"
    shape: ClassVar[tuple[int, ...]] = (1, 28, 28)
    outputs: ClassVar[int] = 10

    def __post_init__(self) -> None:
        _check_root(self.root)
        _check_common(self, most=60_000)


@dataclass(frozen=True)
class CIFAR10:
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
    """

    root: str | None = None
    train_size: int | None = None
    scale: str = "standard"
    seed: int | None = 0
    name: ClassVar[str] = "cifar10"
    default_loss: ClassVar[str] = "cross_entropy"
    shape: ClassVar[tuple[int, ...]] = (3, 32, 32)
    outputs: ClassVar[int] = 10

    def __post_init__(self) -> None:
        _check_root(self.root)
        _check_common(self, most=50_000)


@dataclass(frozen=True)
class Spirals:
    """Interleaved spiral arms in the plane, one per class (after Lang and Witbrock 1988).

    Along its one turn an arm's radius grows from 0 to 1; neighbouring arms are 1 / classes apart.

    Arguments:
        classes: arms.
        points: examples in all, training and held out, shared evenly by the arms.
        noise: standard deviation of the Gaussian noise on each coordinate.
        train_size: training examples; null takes 80 % of all. The rest is held out.
        scale: standard (zero mean, unit variance per coordinate over the training points) or unit (training
            points fill [0, 1]; a held-out point may lie just outside).
        seed: of the points and of their random split, independent of the run's seed.
    """

    classes: int = 3
    points: int = 1500
    noise: float = 0.05
    train_size: int | None = None
    scale: str = "standard"
    seed: int = 0
    name: ClassVar[str] = "spirals"
    default_loss: ClassVar[str] = "cross_entropy"
    shape: ClassVar[tuple[int, ...]] = (2,)

    def __post_init__(self) -> None:
        at_least("data.classes", self.classes, 2)
        require(
            self.points >= self.classes,
            f"data.points={self.points}: must be at least data.classes={self.classes}",
        )
        require(
            self.points <= MOST_POINTS,
            f"data.points={self.points}: must be at most {MOST_POINTS}",
        )
        require(
            math.isfinite(self.noise) and self.noise >= 0,
            f"data.noise={self.noise}: must be finite, at least 0",
        )
        _check_common(self, most=self.points - 1)

    @property
    def outputs(self) -> int:
        return self.classes
