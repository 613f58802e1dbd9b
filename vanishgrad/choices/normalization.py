"""Normalization layers for perceptrons (features) and convolutions (channels)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor, nn

from vanishgrad.errors import at_least, one_of, require

POSITIONS = ("pre", "post")


class Normalization(Protocol):
    """Brings the units' values to a common scale, before (`pre`) or after (`post`) the activation."""

    name: ClassVar[str]

    @property
    def position(self) -> str: ...

    def module(self, width: int, spatial: int = 0) -> nn.Module | None:
        """A new layer for `width` units, or channels with `spatial` dimensions each; None for no layer."""
        ...


class ChannelRMSNorm(nn.Module):
    """RMS normalization over the channels of `(batch, channels, *spatial)`, at each place on its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


@dataclass(frozen=True)
class NoNorm:
    """No normalization. `position` is there so that a sweep may set it beside other choices; no effect."""

    position: str = "pre"
    name: ClassVar[str] = "none"

    def __post_init__(self) -> None:
        one_of("norm.position", self.position, POSITIONS)

    def module(self, width: int, spatial: int = 0) -> nn.Module | None:
        return None


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalization; running statistics serve the evaluation (Ioffe and Szegedy 2015).

    Arguments:
        position: pre or post of the activation.
    """

    position: str = "pre"
    name: ClassVar[str] = "batch"

    def __post_init__(self) -> None:
        one_of("norm.position", self.position, POSITIONS)

    def module(self, width: int, spatial: int = 0) -> nn.Module | None:
        return (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d)[spatial](width)


@dataclass(frozen=True)
class LayerNorm:
    """Layer normalization over all units of an example (Ba et al. 2016); over channels and space for maps.

    Arguments:
        position: pre or post of the activation.
    """

    position: str = "pre"
    name: ClassVar[str] = "layer"

    def __post_init__(self) -> None:
        one_of("norm.position", self.position, POSITIONS)

    def module(self, width: int, spatial: int = 0) -> nn.Module | None:
        require(spatial > 0 or width > 1, f"norm=layer with width={width}: one unit alone is always 0")
        return nn.GroupNorm(1, width) if spatial else nn.LayerNorm(width)


@dataclass(frozen=True)
class RMSNorm:
    """Division by the root mean square of an example's units (Zhang and Sennrich 2019).

    Arguments:
        position: pre or post of the activation.
    """

    position: str = "pre"
    name: ClassVar[str] = "rms"

    def __post_init__(self) -> None:
        one_of("norm.position", self.position, POSITIONS)

    def module(self, width: int, spatial: int = 0) -> nn.Module | None:
        return ChannelRMSNorm(width) if spatial else nn.RMSNorm(width)


@dataclass(frozen=True)
class GroupNorm:
    """Layer normalization within each of `groups` groups of units (Wu and He 2018).

    Arguments:
        groups: how many; must divide the width, and leave at least two values each.
        position: pre or post of the activation.
    """

    groups: int = 8
    position: str = "pre"
    name: ClassVar[str] = "group"

    def __post_init__(self) -> None:
        at_least("norm.groups", self.groups, 1)
        one_of("norm.position", self.position, POSITIONS)

    def module(self, width: int, spatial: int = 0) -> nn.Module | None:
        require(
            width % self.groups == 0,
            f"norm.groups={self.groups}: must divide width={width}",
        )
        require(
            spatial > 0 or width > self.groups,
            f"norm.groups={self.groups} with width={width}: a group of one unit is always 0",
        )
        return nn.GroupNorm(self.groups, width)


@dataclass(frozen=True)
class InstanceNorm:
    """Each channel of each example on its own (Ulyanov et al. 2016), with learned scale and shift.

    Arguments:
        position: pre or post of the activation.
    """

    position: str = "pre"
    name: ClassVar[str] = "instance"

    def __post_init__(self) -> None:
        one_of("norm.position", self.position, POSITIONS)

    def module(self, width: int, spatial: int = 0) -> nn.Module | None:
        require(spatial > 0, "norm=instance: a perceptron's units have no extent to normalize over")
        return (nn.InstanceNorm1d, nn.InstanceNorm2d)[spatial - 1](width, affine=True)


@dataclass(frozen=True)
class WeightNorm:
    """W = g v / ||v||, one g per output unit (Salimans and Kingma 2016); starts at the initialization's W.

    It acts on the weights of every layer but the output; `position` is there so that a sweep may set
    it beside other choices, and has no effect.
    """

    position: str = "pre"
    name: ClassVar[str] = "weight"

    def __post_init__(self) -> None:
        one_of("norm.position", self.position, POSITIONS)

    def module(self, width: int, spatial: int = 0) -> nn.Module | None:
        return None
