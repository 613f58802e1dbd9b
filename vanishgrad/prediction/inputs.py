"""The length of the real inputs, which the theory starts from."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch

from vanishgrad.choices.data import Data
from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.choices.data.loading import load

MOST_EXAMPLES = 4_000  # spread evenly over the training set: the mean length is then known to 1 %

PARTS = 4  # of the examples, sorted by length


@dataclass(frozen=True)
class Inputs:
    """What the theory needs of the training inputs.

    Arguments:
        length: the mean of x^2 over examples and features.
        shared: the mean of x_a x_b over features and pairs of different examples.
        examples: how many there are.
        places: the mean of x^2 at each place of an image, by rows; empty for other data.
        lengths: the mean of x^2 in each quarter of the examples, from the shortest to the longest.
    """

    length: float
    shared: float
    examples: int
    places: tuple[tuple[float, ...], ...] = ()
    lengths: tuple[float, ...] = ()


_known: WeakKeyDictionary[Dataset, Inputs] = WeakKeyDictionary()


def inputs_of(data: Data, dataset: Dataset | None = None) -> Inputs:
    """Measured on `dataset`, else on what `data` loads. Symbols are one-hot vectors."""
    dataset = load(data) if dataset is None else dataset
    if dataset not in _known:
        _known[dataset] = _measured(data, dataset)
    return _known[dataset]


def _measured(data: Data, dataset: Dataset) -> Inputs:
    x, count = dataset.train_x, len(dataset.train_x)
    if data.symbols is not None or not x.is_floating_point():
        return Inputs(1 / (data.symbols or int(x.max()) + 1), 0.0, count)
    x = x[:: max(1, count // MOST_EXAMPLES)].to("cpu", torch.float64)
    squares = x.square().mean(0)
    # of n examples the squared mean counts each with itself: n^2 shared = n (n - 1) pairs + n length
    n, length, together = len(x), float(squares.mean()), float(x.mean(0).square().mean())
    shared = (n * together - length) / (n - 1) if n > 1 else length
    places = tuple(tuple(row) for row in squares.mean(0).tolist()) if x.dim() == 4 else ()
    return Inputs(length, shared, count, places, _quarters(x))


def _quarters(x: torch.Tensor) -> tuple[float, ...]:
    """The mean of x^2 in each of PARTS equal parts of the examples, sorted by it."""
    ordered = x.square().flatten(1).mean(1).sort().values
    return tuple(float(part.mean()) for part in ordered.tensor_split(min(PARTS, len(ordered))))
