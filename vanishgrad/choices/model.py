"""Network families. `depth` hidden layers of `width` units, the output layer on top."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol


class Model(Protocol):
    """A family of networks; `vanishgrad.models.build` makes one."""

    name: ClassVar[str]


@dataclass(frozen=True)
class MLP:
    """The multilayer perceptron; its input is flattened."""

    name: ClassVar[str] = "mlp"
