"""Data: what is learned. A choice names its examples; `vanishgrad.choices.data.loading.load` reads them."""

from vanishgrad.choices.data.dataset import Data, baseline_of
from vanishgrad.choices.data.images import CIFAR10, MNIST, Digits, FashionMNIST
from vanishgrad.choices.data.points import Spirals
from vanishgrad.choices.data.sequences import Adding, CopyMemory, TemporalOrder
from vanishgrad.choices.data.text import Text
from vanishgrad.choices.data.video import MovingDigits
from vanishgrad.records import Baseline

__all__ = [
    "CIFAR10", "MNIST", "Adding", "Baseline", "CopyMemory", "Data", "Digits", "FashionMNIST", "MovingDigits",
    "Spirals", "TemporalOrder", "Text", "baseline_of",
]  # fmt: skip
