"""Examples as tensors: what is read, split, scaled; and the checks that several data sets share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor

from vanishgrad.errors import at_least, one_of, require
from vanishgrad.streams import stream

Scale: TypeAlias = Literal["standard", "unit"]
MOST_VALUES = 250_000_000  # of generated inputs: 1 GB of numbers, 2 GB of symbols


def check_scale(scale: str) -> None:
    one_of("data.scale", scale, get_args(Scale))


def check_size(train_size: int | None, most: int) -> None:
    require(
        train_size is None or 1 <= train_size <= most,
        f"data.train_size={train_size}: must be from 1 to {most}, or null",
    )


def check_generated(train_size: int, held_out: int, values: int) -> None:
    """Refuse numbers of sequences of `values` values each that are no data, or more than memory holds."""
    at_least("data.train_size", train_size, 1)
    at_least("data.held_out", held_out, 1)
    most = MOST_VALUES // values
    require(
        train_size + held_out <= most,
        f"data.train_size={train_size} data.held_out={held_out}: sequences of this length must be at most "
        f"{most} in all, to fit into memory",
    )


def refuse_classes(data: str, loss: str, refused: tuple[str, ...], allowed: str) -> None:
    """Refuse losses of classes for targets that are values."""
    beyond = ", up to 2" if loss == "bce" else ""
    require(
        loss not in refused,
        f"loss={loss} with data={data}: its targets are values, not classes{beyond}; use {allowed}",
    )


def check_root(root: str | None) -> None:
    require(root != "", "data.root=: must be the folder of the files, or null to download them")


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs and labels as read, before scaling.

    Arguments:
        x: inputs, `(n, *shape)`, uint8 or float32.
        y: labels, `(n,)`, int64.
        bounds: the least and the largest value that an input can take; None when there are none.
    """

    x: Tensor
    y: Tensor
    bounds: tuple[float, float] | None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: Tensor) -> Examples:
        """A copy of the examples at `rows`, `(m,)`, in that order."""
        return Examples(self.x[rows], self.y[rows], self.bounds)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training examples and the held-out split. Shared by all who load it: never write into it.

    Inputs are float32: points `(n, features)`, images `(n, channels, height, width)`, sequences of values
    `(n, time, features)`, frames `(n, time, channels, height, width)`; or symbol numbers, int64: `(n, time)`,
    and for a running text `(n,)`, one after the other.

    Targets are class numbers, int64: `(n,)`, or `(n, time)` with one at every time step, and for a running
    text `(n,)`, the symbols that follow; or values, float32: `(n, outputs)`, or frames as the inputs are.

    Arguments:
        train_x: training inputs.
        train_y: training targets.
        val_x: held-out inputs.
        val_y: held-out targets.
    """

    train_x: Tensor
    train_y: Tensor
    val_x: Tensor
    val_y: Tensor

    def to(self, device: torch.device, dtype: torch.dtype) -> Dataset:
        """The same on a device, its inputs in the type that a network computes in; symbols stay numbers."""
        x, val_x = (
            inputs.to(device, dtype if inputs.is_floating_point() else None)
            for inputs in (self.train_x, self.val_x)
        )
        return Dataset(x, self.train_y.to(device), val_x, self.val_y.to(device))


def hold_out(pool: Examples, train_size: int | None, seed: int | None) -> tuple[Examples, Examples]:
    """Split `pool` into `train_size` examples (80 % when None) and the rest."""
    size = len(pool) * 4 // 5 if train_size is None else train_size
    order = _order(len(pool), seed)
    return pool.take(order[:size]), pool.take(order[size:])


def choose(train: Examples, train_size: int | None, seed: int | None) -> Examples:
    """`train_size` of the training examples, or all of them when None."""
    if train_size is None:
        return train
    require(
        train_size <= len(train),
        f"data.train_size={train_size}: must be at most {len(train)}, the training examples at hand",
    )
    return train.take(_order(len(train), seed)[:train_size])


def _order(count: int, seed: int | None) -> Tensor:
    """A random order of `count` rows, or file order without a seed."""
    if seed is None:
        return torch.arange(count)
    return torch.randperm(count, generator=stream(seed, "split"))


def scaled(train: Examples, held_out: Examples, scale: str) -> Dataset:
    """Both splits under the one affine map that `scale`, standard or unit, finds for the training inputs."""
    # Copies: a large data set is then scaled in place, and its source left alone.
    train_x, val_x = (split.x.to(torch.float32, copy=True) for split in (train, held_out))
    shift, span = _moments(train_x) if scale == "standard" else _range(train_x, train.bounds)
    for x in (train_x, val_x):
        x.sub_(shift).div_(span)
    return Dataset(train_x, train.y, val_x, held_out.y)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel of `x`, `(n, channels, ...)`, each `(1, channels, 1, ...)`."""
    std, mean = torch.std_mean(x, _all_but_channel(x), correction=0, keepdim=True)
    return mean, _without_zeros(std)


def _range(x: Tensor, bounds: tuple[float, float] | None) -> tuple[Tensor, Tensor]:
    """Least value and extent, per channel of `x` where the data has no bounds of its own."""
    if bounds is not None:
        least, largest = bounds
        return torch.tensor(least), torch.tensor(largest - least)
    dims = _all_but_channel(x)
    low = x.amin(dims, keepdim=True)
    return low, _without_zeros(x.amax(dims, keepdim=True) - low)


def _all_but_channel(x: Tensor) -> list[int]:
    return [dim for dim in range(x.ndim) if dim != 1]


def _without_zeros(span: Tensor) -> Tensor:
    """`span` with 1 for 0, so that a channel that never varies becomes 0 and not nan."""
    return torch.where(span > 0, span, 1.0)


def in_time(data: Dataset, sequence: str | None) -> Dataset:
    """Images `(n, channels, height, width)` as `(n, time, features)`, or as they are without a `sequence`.

    A time step is a row, one colour after the other, or a pixel in all its colours.
    """
    if sequence is None:
        return data
    read = _rows if sequence == "rows" else _pixels
    return replace(data, train_x=read(data.train_x), val_x=read(data.val_x))


def _rows(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(2)  # (n, height, channels * width)


def _pixels(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2).contiguous()  # (n, height * width, channels)
