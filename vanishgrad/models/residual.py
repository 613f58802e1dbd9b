"""How the branch of a residual block joins its stream."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vanishgrad.modules.observer import Observer


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

    def __init__(self, resize: Resize | None = None) -> None:
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

    def __init__(self, branch: nn.Module, scale: float = 1.0, resize: Resize | None = None) -> None:
        super().__init__()
        self.fork, self.branch, self.scale = Fork(resize), branch, scale

    def forward(self, x: Tensor) -> Tensor:
        direct, into = self.fork(x)
        return torch.add(direct, self.branch(into), alpha=self.scale)

    def extra_repr(self) -> str:
        return f"scale={self.scale:g}"


class RezeroBlock(nn.Module):
    """x + alpha F(x), alpha a learned scalar that starts at 0."""

    def __init__(self, branch: nn.Module, resize: Resize | None = None) -> None:
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

    def __init__(self, branch: nn.Module, gate: nn.Module, resize: Resize | None = None) -> None:
        super().__init__()
        self.fork, self.gate, self.branch = Fork(resize), gate, branch

    def forward(self, x: Tensor) -> Tensor:
        direct, into = self.fork(x)
        transform = self.gate(into)
        return transform * self.branch(into) + (1 - transform) * direct


class DenseBlock(nn.Module):
    """x and F(x) side by side: `(batch, units, ...) -> (batch, units + width, ...)`."""

    def __init__(self, branch: nn.Module, resize: Resize | None = None) -> None:
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
