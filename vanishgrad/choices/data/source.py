"""What every choice of data tells without loading anything."""

from __future__ import annotations

from typing import ClassVar, Protocol


class Data(Protocol):
    """Data: what is learned. A choice names its examples; `vanishgrad.data.load` reads them."""

    name: ClassVar[str]
    default_loss: ClassVar[str]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example: features, `(channels, height, width)`, `(time, features)`, `(time,)` for
        symbols, or `(time, channels, height, width)` for frames."""
        ...

    @property
    def outputs(self) -> int:
        """Outputs of a network for this data: one per class, at every time step where targets are."""
        ...

    @property
    def symbols(self) -> int | None:
        """How many symbols there are, where inputs are symbol numbers; None for real inputs."""
        ...

    @property
    def train_size(self) -> int | None:
        """Training examples; None leaves the number to the data."""
        ...

    def __hash__(self) -> int: ...
