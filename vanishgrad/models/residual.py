"""How the branch of a residual block joins its stream."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Shortcut(nn.Module):
    """x + scale F(x)."""

    def __init__(self, branch: nn.Sequential, scale: float = 1.0) -> None:
        super().__init__()
        self.branch, self.scale = branch, scale

    def forward(self, x: Tensor) -> Tensor:
        return torch.add(x, self.branch(x), alpha=self.scale)

    def extra_repr(self) -> str:
        return f"scale={self.scale:g}"


class RezeroShortcut(nn.Module):
    """x + alpha F(x), alpha a learned scalar that starts at 0."""

    def __init__(self, branch: nn.Sequential) -> None:
        super().__init__()
        self.branch = branch
        self.alpha = nn.Parameter(torch.zeros(()))

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.alpha)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.alpha * self.branch(x)


class HighwayShortcut(nn.Module):
    """T H(x) + (1 - T) x with the gate T = sigmoid(W_T x + b_T)."""

    def __init__(self, branch: nn.Sequential, gate: nn.Sequential) -> None:
        super().__init__()
        self.gate, self.branch = gate, branch

    def forward(self, x: Tensor) -> Tensor:
        transform = self.gate(x)
        return transform * self.branch(x) + (1 - transform) * x


class Concatenation(nn.Module):
    """x and F(x) side by side: `(batch, units) -> (batch, units + width)`."""

    def __init__(self, branch: nn.Sequential) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.branch(x)], dim=1)


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
