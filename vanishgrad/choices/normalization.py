"""Normalization layers for perceptrons (features) and convolutions (channels)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from vanishgrad.choices.protocol import Normalization, Setting
from vanishgrad.errors import at_least, one_of, require
from vanishgrad.theory.gaussian import Function
from vanishgrad.theory.normalization import (
    FEWEST,
    SMALLEST_BATCH,
    batch_norm_first,
    batch_norm_last,
    group_norm_first,
    norm_first,
    norm_last,
)
from vanishgrad.theory.stack import PassageMap, plain

Position: TypeAlias = Literal["pre", "post"]
POSITIONS: tuple[Position, ...] = get_args(Position)


EPSILON = 1e-5  # torch's, of batch, layer and group norm


class ChannelRMSNorm(nn.Module):
    """RMS normalization over the channels of `(batch, channels, *spatial)`, at each place on its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


@dataclass(frozen=True)
class NoNorm(Normalization):
    """No normalization. `position` is there so that a sweep may set it with other choices; no effect."""

    position: Position = "pre"
    name: ClassVar[str] = "none"
    normalizes: ClassVar[bool] = False
    shifts: ClassVar[bool] = False
    over_time: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("norm.position", self.position, POSITIONS)

    def module(self, width: int, spatial: int = 0) -> nn.Module | None:
        return None

    def passage(self, f: Function, setting: Setting, batch: int, noise: float) -> PassageMap | str:
        return plain(f, noise)


@dataclass(frozen=True)
class BatchNorm(Normalization):
    """Batch normalization; running statistics serve the evaluation (Ioffe and Szegedy 2015).

    Arguments:
        position: pre or post of the activation.
    """

    position: Position = "pre"
    name: ClassVar[str] = "batch"
    over_batch: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("norm.position", self.position, POSITIONS)

    def module(self, width: int, spatial: int = 0) -> nn.Module | None:
        return (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d)[spatial](width)

    def passage(self, f: Function, setting: Setting, batch: int, noise: float) -> PassageMap | str:
        if batch < SMALLEST_BATCH:
            return f"batch norm over {batch} examples: gradients have no finite mean below 4"
        passage = batch_norm_first if self.position == "pre" else batch_norm_last
        return passage(f, batch, EPSILON, noise)

    def correlations(self) -> str:
        return "c_star, xi_c: batch norm keeps the inputs of a batch apart by itself"

    def refuse(self, setting: Setting) -> None:
        require(
            setting.batch_size != 1,
            "norm=batch with batch_size=1: one example has no variance; use at least 2, or norm=layer",
        )


@dataclass(frozen=True)
class LayerNorm(Normalization):
    """Layer normalization over all units of an example (Ba et al. 2016); over channels and space for maps.

    Arguments:
        position: pre or post of the activation.
    """

    position: Position = "pre"
    name: ClassVar[str] = "layer"
    over_time: ClassVar[bool] = True
    centres: ClassVar[bool] = True
    of_examples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("norm.position", self.position, POSITIONS)

    def module(self, width: int, spatial: int = 0) -> nn.Module | None:
        require(spatial > 0 or width > 1, f"norm=layer with width={width}: one unit alone is always 0")
        return nn.GroupNorm(1, width) if spatial else nn.LayerNorm(width)

    def passage(self, f: Function, setting: Setting, batch: int, noise: float) -> PassageMap | str:
        first = self.position == "pre"
        return norm_first(f, EPSILON, noise) if first else norm_last(f, EPSILON, True, noise)


@dataclass(frozen=True)
class RMSNorm(Normalization):
    """Division by the root mean square of an example's units (Zhang and Sennrich 2019).

    Arguments:
        position: pre or post of the activation.
    """

    position: Position = "pre"
    name: ClassVar[str] = "rms"
    shifts: ClassVar[bool] = False
    of_examples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("norm.position", self.position, POSITIONS)

    def module(self, width: int, spatial: int = 0) -> nn.Module | None:
        return ChannelRMSNorm(width) if spatial else nn.RMSNorm(width)

    def passage(self, f: Function, setting: Setting, batch: int, noise: float) -> PassageMap | str:
        epsilon, first = torch.finfo(getattr(torch, setting.dtype)).eps, self.position == "pre"
        return norm_first(f, epsilon, noise) if first else norm_last(f, epsilon, False, noise)


@dataclass(frozen=True)
class GroupNorm(Normalization):
    """Layer normalization within each of `groups` groups of units (Wu and He 2018).

    Arguments:
        groups: how many; must divide the width, and leave at least two values each.
        position: pre or post of the activation.
    """

    groups: int = 8
    position: Position = "pre"
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

    def passage(self, f: Function, setting: Setting, batch: int, noise: float) -> PassageMap | str:
        size = setting.width // self.groups
        if self.position == "post":
            return (
                "group norm after the activation: small groups of values that are not Gaussian are not "
                "covered"
            )
        if size < FEWEST:
            return f"group norm over {size} units: gradients have no finite mean below 4"
        return group_norm_first(f, size, EPSILON, noise)

    def correlations(self) -> str:
        return "c_star, xi_c: correlations under group norm are not covered"


@dataclass(frozen=True)
class InstanceNorm(Normalization):
    """Each channel of each example on its own (Ulyanov et al. 2016), with learned scale and shift.

    Arguments:
        position: pre or post of the activation.
    """

    position: Position = "pre"
    name: ClassVar[str] = "instance"
    of_maps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        one_of("norm.position", self.position, POSITIONS)

    def module(self, width: int, spatial: int = 0) -> nn.Module | None:
        require(spatial > 0, "norm=instance: a perceptron's units have no extent to normalize over")
        return (nn.InstanceNorm1d, nn.InstanceNorm2d)[spatial - 1](width, affine=True)


@dataclass(frozen=True)
class WeightNorm(Normalization):
    """W = g v / ||v||, one g per output unit (Salimans and Kingma 2016); starts at the initialization's W.

    It acts on the weights of every layer but the output; `position` is there so that a sweep may set
    it with other choices, and has no effect.
    """

    position: Position = "pre"
    name: ClassVar[str] = "weight"
    normalizes: ClassVar[bool] = False
    acts_on_weights: ClassVar[bool] = True
    shifts: ClassVar[bool] = False

    def __post_init__(self) -> None:
        one_of("norm.position", self.position, POSITIONS)

    def module(self, width: int, spatial: int = 0) -> nn.Module | None:
        return None

    def wrap(self, matrix: nn.Module) -> nn.Module:
        return weight_norm(matrix)

    def passage(self, f: Function, setting: Setting, batch: int, noise: float) -> PassageMap | str:
        return plain(f, noise)

    def refuse(self, setting: Setting) -> None:
        require(
            not (setting.init.is_zero or setting.residual.zero_weights),
            "norm=weight with weights that start at 0: g v / ||v|| needs a direction; "
            "use another init, and another residual than fixup",
        )
