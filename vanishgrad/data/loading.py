"""From a choice of data to tensors."""

from __future__ import annotations

from functools import lru_cache

from vanishgrad.choices.data import CIFAR10, MNIST, Data, Digits, FashionMNIST, Spirals
from vanishgrad.data.cifar import read_cifar10
from vanishgrad.data.dataset import Dataset, Examples
from vanishgrad.data.digits import read_digits
from vanishgrad.data.idx import read_mnist
from vanishgrad.data.openml import fetch
from vanishgrad.data.scale import scaled
from vanishgrad.data.spirals import draw_spirals
from vanishgrad.data.split import choose, hold_out


@lru_cache(maxsize=2)  # a sweep asks for the same data again and again; CIFAR-10 weighs 0.7 GB
def load(data: Data) -> Dataset:
    """The scaled training and held-out examples of `data`."""
    train, held_out = _split(data)
    return scaled(train, held_out, data.scale)


def _split(data: Data) -> tuple[Examples, Examples]:
    match data:
        case Digits():
            return hold_out(read_digits(), data.train_size, data.seed)
        case Spirals():
            points = draw_spirals(data.classes, data.points, data.noise, data.seed)
            return hold_out(points, data.train_size, data.seed)
        case MNIST() | FashionMNIST() | CIFAR10():
            train, test = _published(data)
            return choose(train, data.train_size, data.seed), test
        case _:
            raise TypeError(f"no reader for {data!r}")


def _published(data: MNIST | FashionMNIST | CIFAR10) -> tuple[Examples, Examples]:
    match data:
        case MNIST(root=None):
            return fetch("mnist_784", data.shape, train_examples=60_000)
        case FashionMNIST(root=None):
            return fetch("Fashion-MNIST", data.shape, train_examples=60_000)
        case CIFAR10(root=None):
            return fetch("CIFAR_10", data.shape, train_examples=50_000)
        case MNIST(root=str(root)):
            return read_mnist(root, "MNIST")
        case FashionMNIST(root=str(root)):
            return read_mnist(root, "FashionMNIST")
        case CIFAR10(root=str(root)):
            return read_cifar10(root)
        case _:
            raise TypeError(f"data.root={data.root!r}: neither a folder's name nor None")
