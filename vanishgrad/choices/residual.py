"""Shortcut connections around blocks of `every` hidden layers, and the modules of the blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from vanishgrad.choices.protocol import Layers, Residual, Setting
from vanishgrad.errors import between, require
from vanishgrad.modules.observer import Observer
from vanishgrad.modules.weights import WeightMatrix

MOST_LAYERS = 100_000  # of a block


class Resize(nn.Module):
    """A stream brought to a smaller map and more channels without parameters (He et al. 2016, option A).

    Keeps every `stride`-th row and column of `(batch, channels, height, width)`, from the first on, and
    appends `new` channels of zeros.
    """

    def __init__(self, stride: int, new: int) -> None:
        super().__init__()
        self.stride, self.new = stride, new

    def forward(self, x: Tensor) -> Tensor:
        kept = x[..., :: self.stride, :: self.stride]
        return functional.pad(kept, (0, 0, 0, 0, 0, self.new))

    def extra_repr(self) -> str:
        return f"stride={self.stride}, new={self.new}"


class Fork(nn.Module):
    """The stream as it goes around a branch and into it: x twice, the first of them resized if need be.

    An observer sees two different tensors of the stream's own size, whose gradients are the two terms of
    dLoss/dx.
    """

    observer: Observer | None = None

    def __init__(self, resize: nn.Module | None = None) -> None:
        super().__init__()
        self.resize = resize

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        # watched or not, what comes back through the branch is one sum before the shortcut's is added
        direct, into = x, x.view_as(x)
        if self.observer is not None:
            direct = x.view_as(x)
            self.observer.fork(self, direct, into)
        return (direct if self.resize is None else self.resize(direct)), into


class ResidualBlock(nn.Module):
    """x + scale F(x)."""

    def __init__(self, branch: nn.Module, scale: float = 1.0, resize: nn.Module | None = None) -> None:
        super().__init__()
        self.fork, self.branch, self.scale = Fork(resize), branch, scale

    def forward(self, x: Tensor) -> Tensor:
        direct, into = self.fork(x)
        return torch.add(direct, self.branch(into), alpha=self.scale)

    def extra_repr(self) -> str:
        return f"scale={self.scale:g}"


class RezeroBlock(nn.Module):
    """x + alpha F(x), alpha a learned scalar that starts at 0."""

    def __init__(self, branch: nn.Module, resize: nn.Module | None = None) -> None:
        super().__init__()
        self.fork, self.branch = Fork(resize), branch
        self.alpha = nn.Parameter(torch.zeros(()))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.alpha)

    def forward(self, x: Tensor) -> Tensor:
        direct, into = self.fork(x)
        return direct + self.alpha * self.branch(into)


class HighwayBlock(nn.Module):
    """T H(x) + (1 - T) x with the gate T = sigmoid(W_T x + b_T)."""

    def __init__(self, branch: nn.Module, gate: nn.Module, resize: nn.Module | None = None) -> None:
        super().__init__()
        self.fork, self.gate, self.branch = Fork(resize), gate, branch

    def forward(self, x: Tensor) -> Tensor:
        direct, into = self.fork(x)
        transform = self.gate(into)
        return transform * self.branch(into) + (1 - transform) * direct


class DenseBlock(nn.Module):
    """x and F(x) side by side: `(batch, units, ...) -> (batch, units + width, ...)`."""

    def __init__(self, branch: nn.Module, resize: nn.Module | None = None) -> None:
        super().__init__()
        self.fork, self.branch = Fork(resize), branch

    def forward(self, x: Tensor) -> Tensor:
        direct, into = self.fork(x)
        return torch.cat([direct, self.branch(into)], dim=1)


class ScalarBias(nn.Module):
    """x + b, one learned scalar b that starts at 0 (Fixup's rule 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(()))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


class ScalarMultiplier(nn.Module):
    """s x, one learned scalar s that starts at 1 (Fixup's rule 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def reset_parameters(self) -> None:
        nn.init.ones_(self.scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x


def check_every(every: int) -> None:
    """Refuse blocks without layers, and of more than networks have."""
    between("residual.every", every, 1, MOST_LAYERS)


@dataclass(frozen=True)
class NoResidual(Residual):
    """A plain network. `every` is there so that a sweep may set it with other choices; no effect."""

    every: int = 2
    name: ClassVar[str] = "none"
    shortcuts: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_every(self.every)

    def module(
        self, branch: nn.Module, blocks: int, resize: nn.Module | None = None, gate: nn.Module | None = None
    ) -> nn.Module:
        return branch


@dataclass(frozen=True)
class IdentityShortcut(Residual):
    """x + F(x), pre-activation form (He et al. 2016, Identity mappings).

    Arguments:
        every: hidden layers per block.
    """

    every: int = 2
    name: ClassVar[str] = "identity"
    covered: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_every(self.every)

    def module(
        self, branch: nn.Module, blocks: int, resize: nn.Module | None = None, gate: nn.Module | None = None
    ) -> nn.Module:
        return ResidualBlock(branch, resize=resize)


@dataclass(frozen=True)
class ScaledShortcut(Residual):
    """x + scale F(x) with a fixed scale (Hayou et al. 2021, Stable ResNet).

    Arguments:
        scale: factor of every branch; null is 1/sqrt(number of blocks), which keeps the stream bounded.
        every: hidden layers per block.
    """

    scale: float | None = None
    every: int = 2
    name: ClassVar[str] = "scaled"
    covered: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(
            self.scale is None or math.isfinite(self.scale),
            f"residual.scale={self.scale}: must be a finite number, or null for 1/sqrt(blocks)",
        )
        check_every(self.every)

    def module(
        self, branch: nn.Module, blocks: int, resize: nn.Module | None = None, gate: nn.Module | None = None
    ) -> nn.Module:
        return ResidualBlock(branch, self.branch_factor(blocks), resize)

    @property
    def branches_shrink(self) -> bool:
        return self.scale is None

    def branch_factor(self, blocks: int) -> float:
        return 1 / math.sqrt(blocks) if self.scale is None else self.scale


@dataclass(frozen=True)
class Rezero(Residual):
    """x + alpha F(x), one learned alpha per block that starts at 0 (Bachlechner et al. 2021).

    Arguments:
        every: hidden layers per block.
    """

    every: int = 2
    name: ClassVar[str] = "rezero"
    covered: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_every(self.every)

    def module(
        self, branch: nn.Module, blocks: int, resize: nn.Module | None = None, gate: nn.Module | None = None
    ) -> nn.Module:
        return RezeroBlock(branch, resize)

    def branch_factor(self, blocks: int) -> float:
        return 0.0


@dataclass(frozen=True)
class Fixup(Residual):
    """Residual training without normalization (Zhang et al. 2019).

    The last layer of each branch and the classifier start at 0, the other branch layers are multiplied by
    blocks^(-1/(2 every - 2)), a scalar bias stands before each linear layer and activation, and each branch
    ends in a scalar multiplier. Blocks of one layer are refused: the exponent does not exist.

    Arguments:
        every: hidden layers per block, at least 2.
    """

    every: int = 2
    name: ClassVar[str] = "fixup"
    scalars: ClassVar[bool] = True
    zero_weights: ClassVar[bool] = True
    covered: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(
            self.every >= 2,
            f"residual.every={self.every}: fixup scales by blocks^(-1/(2 every - 2)), so at least 2",
        )
        check_every(self.every)

    def module(
        self, branch: nn.Module, blocks: int, resize: nn.Module | None = None, gate: nn.Module | None = None
    ) -> nn.Module:
        return ResidualBlock(branch, resize=resize)

    def branch_factor(self, blocks: int) -> float:
        return 0.0

    def start_(self, matrices: Sequence[WeightMatrix], blocks: Layers) -> None:
        """Rules 1 and 2: zero classifier and branch ends, the other branch layers scaled down."""
        block_of = {layer: block for block in blocks for layer in block}
        for matrix in matrices:
            if block := block_of.get(matrix.layer):
                factor = len(blocks) ** (-1 / (2 * len(block) - 2))
                matrix.weight.mul_(0.0 if matrix.layer == block[-1] else factor)
        if blocks:
            matrices[-1].weight.zero_()
            if matrices[-1].bias is not None:
                matrices[-1].bias.zero_()

    def refuse(self, setting: Setting) -> None:
        require(
            all(len(block) >= 2 for block in setting.blocks),
            f"residual=fixup with depth={setting.depth}: leaves a block of one layer, whose scale "
            "blocks^(-1/(2m-2)) does not exist; use depth of at least 3",
        )
        require(
            not setting.init.measures_data,
            f"residual=fixup with init={setting.init.name}: unit variance undoes fixup's branch scaling; "
            "use another init",
        )


@dataclass(frozen=True)
class HighwayShortcut(Residual):
    """T H(x) + (1 - T) x, the gate T = sigmoid(W_T x + b_T) (Srivastava et al. 2015).

    Arguments:
        gate_bias: b_T at the start; negative, so that blocks begin by carrying their input.
        every: hidden layers per block.
    """

    gate_bias: float = -2.0
    every: int = 2
    name: ClassVar[str] = "highway"
    gated: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(
            -math.inf < self.gate_bias < 0,
            f"residual.gate_bias={self.gate_bias}: must be negative at the start, and finite",
        )
        check_every(self.every)

    def module(
        self, branch: nn.Module, blocks: int, resize: nn.Module | None = None, gate: nn.Module | None = None
    ) -> nn.Module:
        assert gate is not None, "a highway block has a gate"
        return HighwayBlock(branch, gate, resize)

    def start_(self, matrices: Sequence[WeightMatrix], blocks: Layers) -> None:
        """Gates open towards carrying the input on."""
        for matrix in matrices:
            if "gate_" in matrix.name and matrix.bias is not None:
                matrix.bias.fill_(self.gate_bias)


@dataclass(frozen=True)
class DenseShortcut(Residual):
    """Every block reads all earlier outputs side by side and adds `width` units (Huang et al. 2017).

    Arguments:
        every: hidden layers per block.
    """

    every: int = 2
    name: ClassVar[str] = "dense"
    concatenates: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_every(self.every)

    def module(
        self, branch: nn.Module, blocks: int, resize: nn.Module | None = None, gate: nn.Module | None = None
    ) -> nn.Module:
        return DenseBlock(branch, resize)
