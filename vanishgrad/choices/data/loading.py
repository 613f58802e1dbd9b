"""From a choice of data to tensors."""

from __future__ import annotations

from functools import lru_cache

from vanishgrad.choices.data.dataset import Data, Dataset, Examples, choose, hold_out, in_time, scaled
from vanishgrad.choices.data.image_files import fetch, read_cifar10, read_mnist
from vanishgrad.choices.data.images import CIFAR10, MNIST, Digits, FashionMNIST, read_digits
from vanishgrad.choices.data.points import Spirals, draw_spirals
from vanishgrad.choices.data.sequences import (
    Adding,
    CopyMemory,
    TemporalOrder,
    draw_adding,
    draw_copy,
    draw_temporal_order,
)
from vanishgrad.choices.data.text import Text, read_text
from vanishgrad.choices.data.video import MovingDigits, draw_moving_digits


@lru_cache(maxsize=2)  # a sweep asks for the same data again and again; CIFAR-10 weighs 0.7 GB
def load(data: Data) -> Dataset:
    """The training and the held-out examples of `data`, images and points scaled."""
    match data:
        case Spirals():
            points = draw_spirals(data.classes, data.points, data.noise, data.seed)
            return scaled(*hold_out(points, data.train_size, data.seed), data.scale)
        case Digits() | MNIST() | FashionMNIST() | CIFAR10():
            return in_time(scaled(*_split(data), data.scale), data.sequence)
        case Adding():
            return draw_adding(data)
        case CopyMemory():
            return draw_copy(data)
        case TemporalOrder():
            return draw_temporal_order(data)
        case Text():
            return read_text(data)
        case MovingDigits():
            return draw_moving_digits(data)
        case _:
            raise TypeError(f"no reader for {data!r}")


def _split(data: Digits | MNIST | FashionMNIST | CIFAR10) -> tuple[Examples, Examples]:
    if isinstance(data, Digits):
        return hold_out(read_digits(), data.train_size, data.seed)
    train, test = _published(data)
    return choose(train, data.train_size, data.seed), test


def _published(data: MNIST | FashionMNIST | CIFAR10) -> tuple[Examples, Examples]:
    match data:
        case MNIST(root=None):
            return fetch("mnist_784", data.image, train_examples=60_000)
        case FashionMNIST(root=None):
            return fetch("Fashion-MNIST", data.image, train_examples=60_000)
        case CIFAR10(root=None):
            return fetch("CIFAR_10", data.image, train_examples=50_000)
        case MNIST(root=str(root)):
            return read_mnist(root, "MNIST")
        case FashionMNIST(root=str(root)):
            return read_mnist(root, "FashionMNIST")
        case CIFAR10(root=str(root)):
            return read_cifar10(root)
        case _:
            raise TypeError(f"data.root={data.root!r}: neither a folder's name nor None")
