"""Data: what is learned. A choice names its examples and reads or draws them; `load` keeps them."""

from functools import lru_cache

from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.choices.data.images import CIFAR10, MNIST, Digits, FashionMNIST
from vanishgrad.choices.data.points import Spirals
from vanishgrad.choices.data.sequences import Adding, CopyMemory, TemporalOrder
from vanishgrad.choices.data.text import Text
from vanishgrad.choices.data.video import MovingDigits
from vanishgrad.choices.protocol import Data
from vanishgrad.records import Baseline


@lru_cache(maxsize=2)  # a sweep asks for the same data again and again; CIFAR-10 weighs 0.7 GB
def load(data: Data) -> Dataset:
    """The training and the held-out examples of `data`, images and points scaled."""
    return data.load()


__all__ = [
    "CIFAR10", "MNIST", "Adding", "Baseline", "CopyMemory", "Data", "Dataset", "Digits", "FashionMNIST",
    "MovingDigits", "Spirals", "TemporalOrder", "Text", "load",
]  # fmt: skip
