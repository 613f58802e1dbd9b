"""Checks that several kinds of data share."""

from __future__ import annotations

from vanishgrad.errors import at_least, one_of, require

MOST_VALUES = 250_000_000  # of generated inputs: 1 GB of numbers, 2 GB of symbols


def check_scale(scale: str) -> None:
    one_of("data.scale", scale, ("standard", "unit"))


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


def check_root(root: str | None) -> None:
    require(root != "", "data.root=: must be the folder of the files, or null to download them")
