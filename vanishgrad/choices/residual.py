"""Shortcut connections around blocks of `every` hidden layers; `models.residual` has their modules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Protocol

from vanishgrad.errors import at_least, require


class Residual(Protocol):
    """How a block's branch joins the stream."""

    name: ClassVar[str]

    @property
    def every(self) -> int:
        """Hidden layers per block."""
        ...


@dataclass(frozen=True)
class NoResidual:
    """A plain network. `every` is there so that a sweep may set it beside other choices; no effect."""

    every: int = 2
    name: ClassVar[str] = "none"

    def __post_init__(self) -> None:
        at_least("residual.every", self.every, 1)


@dataclass(frozen=True)
class IdentityShortcut:
    """x + F(x), pre-activation form (He et al. 2016, Identity mappings).

    Arguments:
        every: hidden layers per block.
    """

    every: int = 2
    name: ClassVar[str] = "identity"

    def __post_init__(self) -> None:
        at_least("residual.every", self.every, 1)


@dataclass(frozen=True)
class ScaledShortcut:
    """x + scale F(x) with a fixed scale (Hayou et al. 2021, Stable ResNet).

    Arguments:
        scale: factor of every branch; null is 1/sqrt(number of blocks), which keeps the stream bounded.
        every: hidden layers per block.
    """

    scale: float | None = None
    every: int = 2
    name: ClassVar[str] = "scaled"

    def __post_init__(self) -> None:
        require(
            self.scale is None or math.isfinite(self.scale),
            f"residual.scale={self.scale}: must be a finite number, or null for 1/sqrt(blocks)",
        )
        at_least("residual.every", self.every, 1)


@dataclass(frozen=True)
class Rezero:
    """x + alpha F(x), one learned alpha per block that starts at 0 (Bachlechner et al. 2021).

    Arguments:
        every: hidden layers per block.
    """

    every: int = 2
    name: ClassVar[str] = "rezero"

    def __post_init__(self) -> None:
        at_least("residual.every", self.every, 1)


@dataclass(frozen=True)
class Fixup:
    """Residual training without normalization (Zhang et al. 2019).

    The last layer of each branch and the classifier start at 0, the other branch layers are multiplied by
    blocks^(-1/(2 every - 2)), a scalar bias stands before each linear layer and activation, and each branch
    ends in a scalar multiplier. Blocks of one layer are refused: the exponent does not exist.

    Arguments:
        every: hidden layers per block, at least 2.
    """

    every: int = 2
    name: ClassVar[str] = "fixup"

    def __post_init__(self) -> None:
        require(
            self.every >= 2,
            f"residual.every={self.every}: fixup scales by blocks^(-1/(2 every - 2)), so at least 2",
        )


@dataclass(frozen=True)
class HighwayShortcut:
    """T H(x) + (1 - T) x, the gate T = sigmoid(W_T x + b_T) (Srivastava et al. 2015).

    Arguments:
        gate_bias: b_T at the start; negative, so that blocks begin by carrying their input.
        every: hidden layers per block.
    """

    gate_bias: float = -2.0
    every: int = 2
    name: ClassVar[str] = "highway"

    def __post_init__(self) -> None:
        require(self.gate_bias < 0, f"residual.gate_bias={self.gate_bias}: must be negative at the start")
        at_least("residual.every", self.every, 1)


@dataclass(frozen=True)
class DenseShortcut:
    """Every block reads all earlier outputs side by side and adds `width` units (Huang et al. 2017).

    Arguments:
        every: hidden layers per block.
    """

    every: int = 2
    name: ClassVar[str] = "dense"

    def __post_init__(self) -> None:
        at_least("residual.every", self.every, 1)
