"""A naive twin of a run: the network walked by hand, every figure from `torch.autograd.grad`, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from vanishgrad.choices.data import load
from vanishgrad.choices.model.build import build
from vanishgrad.choices.residual import (
    DenseBlock,
    HighwayBlock,
    ResidualBlock,
    RezeroBlock,
    ScalarBias,
    ScalarMultiplier,
)
from vanishgrad.engine.plan import Order
from vanishgrad.modules.dropout import SeededDropout
from vanishgrad.run import Run

Figures = dict[str, float | None]
Rows = dict[tuple[int, str], Figures]
Slope = Callable[[nn.Module, Tensor], Tensor]


def _gelu(_: nn.Module, x: Tensor) -> Tensor:
    density = torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi)
    return 0.5 * (1 + torch.erf(x / math.sqrt(2))) + x * density


def _mish(_: nn.Module, x: Tensor) -> Tensor:
    squashed = torch.tanh(torch.log1p(torch.exp(x)))
    return squashed + x * (1 - squashed**2) / (1 + torch.exp(-x))


def _silu(_: nn.Module, x: Tensor) -> Tensor:
    gate = 1 / (1 + torch.exp(-x))
    return gate * (1 + x * (1 - gate))


def _selu(_: nn.Module, x: Tensor) -> Tensor:
    scale, alpha = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. 2017, eq. 14
    return scale * torch.where(x > 0, 1.0, alpha * torch.exp(x))


def _two_pieces(x: Tensor, left: float | Tensor) -> Tensor:
    return torch.where(x > 0, torch.ones_like(x), torch.ones_like(x) * left)


# Name of the module's class -> its derivative, worked out by hand.
SLOPES: dict[str, Slope] = {
    "ReLU": lambda m, x: _two_pieces(x, 0.0),
    "Sigmoid": lambda m, x: 1 / (2 + torch.exp(x) + torch.exp(-x)),
    "Tanh": lambda m, x: 1 / torch.cosh(x) ** 2,
    "Softsign": lambda m, x: 1 / (1 + x.abs()) ** 2,
    "Softplus": lambda m, x: 1 / (1 + torch.exp(-x)),
    "LeakyReLU": lambda m, x: _two_pieces(x, m.negative_slope),
    "PReLU": lambda m, x: _two_pieces(x, m.weight.detach()),
    "ELU": lambda m, x: torch.where(x > 0, 1.0, m.alpha * torch.exp(x)),
    "SELU": _selu,
    "GELU": _gelu,
    "SiLU": _silu,
    "Mish": _mish,
    "ErfModule": lambda m, x: 2 / math.sqrt(math.pi) * torch.exp(-x.square()),
    "Identity": lambda m, x: torch.ones_like(x),
}
LINE = torch.linspace(-12, 12, 240_001, dtype=torch.float64)


@dataclass
class Linear:
    """One linear output met on the way: its effective weight, its bias and z, all in the graph."""

    weight: Tensor
    bias: Tensor | None
    z: Tensor


@dataclass
class Walk:
    """Everything met on one forward pass, by module path."""

    linears: dict[str, Linear] = field(default_factory=dict)
    statistics: dict[str, Figures] = field(default_factory=dict)

    def through(self, module: nn.Module, x: Tensor, path: str) -> Tensor:
        match module:
            case nn.Sequential():
                for name, child in module.named_children():
                    x = self.through(child, x, f"{path}.{name}".lstrip("."))
                return x
            case nn.Flatten():
                return x.reshape(len(x), -1)
            case nn.Linear():
                return self._linear(module, x, path)
            case HighwayBlock():
                gate = self.through(module.gate, x, f"{path}.gate")
                return gate * self.through(module.branch, x, f"{path}.branch") + (1 - gate) * x
            case ResidualBlock() | RezeroBlock() | DenseBlock():
                inner = self.through(module.branch, x, f"{path}.branch")
                if isinstance(module, DenseBlock):
                    return torch.cat([x, inner], 1)
                return x + (module.alpha if isinstance(module, RezeroBlock) else module.scale) * inner
            case ScalarBias() | ScalarMultiplier() | SeededDropout() | nn.BatchNorm1d():
                return module(x)
            case nn.LayerNorm() | nn.RMSNorm() | nn.GroupNorm():
                return module(x)
        y = module(x)
        self.statistics[path] = _statistics(module, x.detach(), y.detach())
        return y

    def _linear(self, module: nn.Linear, x: Tensor, path: str) -> Tensor:
        weight: Tensor = module.weight
        if hasattr(module, "parametrizations"):
            length, direction = (
                module.parametrizations.weight.original0,
                module.parametrizations.weight.original1,
            )
            weight = length * direction / direction.square().sum(1, keepdim=True).sqrt()
        z = x @ weight.T if module.bias is None else x @ weight.T + module.bias
        self.linears[path] = Linear(weight, module.bias, z)
        return z


def _statistics(module: nn.Module, x: Tensor, y: Tensor) -> Figures:
    slope = SLOPES[type(module).__name__]
    size = slope(module, x).abs()
    largest = float(slope(module, LINE).abs().max())
    values = y.flatten().tolist()
    mean = math.fsum(values) / len(values)
    return {
        "act_mean": mean,
        "act_std": math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values)),
        "saturation": float((size < 0.05 * largest).double().mean()),
        "dead_fraction": float((size == 0).all(0).double().mean()),
    }


def activation_entered(run: Run, name: str) -> str | None:
    """The activation that the output of linear module `name` enters next, by the rules of the structures."""
    *scope, last = name.split(".")
    if last == "output":
        return None
    if last.startswith("gate_"):
        return ".".join([*scope, "sigmoid"])
    layer = int(last.rsplit("_", 1)[-1])
    if not run.blocks or run.residual.name == "highway":
        return ".".join([*scope, f"act_{layer}"])
    within = next((f"block_{n}.branch." for n, block in enumerate(run.blocks, 1) if layer + 1 in block), "")
    return f"{within}act_{layer + 1}"


def length(tensor: Tensor) -> float:
    return math.sqrt(math.fsum(value * value for value in tensor.detach().flatten().tolist()))


def naive_rows(run: Run) -> Rows:
    """Figures of every step 0 ... max_steps by (step, name), for plain gradient descent at one rate."""
    model, data = build(run), load(run.data)
    leaves = list(model.parameters())
    batches = iter(Order(run, len(data.train_x)))
    rows: Rows = {}
    first: dict[str, Tensor] = {}
    assert run.max_steps is not None
    for step in range(run.max_steps + 1):
        chosen = next(batches)
        walk = Walk()
        outputs = walk.through(model, data.train_x[chosen].double(), "")
        loss = run.criterion(outputs, data.train_y[chosen]) + _penalty(run, walk)
        found = [walk.linears[name] for name in walk.linears]
        asked = [t for one in found for t in (one.weight, one.bias, one.z) if t is not None]
        every = torch.autograd.grad(loss, asked + leaves, allow_unused=True)
        gradients = {id(t): g for t, g in zip(asked, every, strict=False)}
        before = {name: one.weight.detach().clone() for name, one in walk.linears.items()}
        first = first or before
        if step < run.max_steps:
            with torch.no_grad():
                for leaf, gradient in zip(leaves, every[len(asked) :], strict=True):
                    leaf -= run.rate * gradient
        after = Walk()
        with torch.no_grad():
            after.through(model, data.train_x[chosen].double(), "")
        for name, one in walk.linears.items():
            figures = _figures(one, gradients, before[name], after.linears[name].weight, first[name])
            if step == run.max_steps:
                figures["update_ratio"] = None
            entered = activation_entered(run, name)
            rows[step, name] = figures | (walk.statistics[entered] if entered else {})
        for module in model.modules():
            if isinstance(module, SeededDropout):
                module.calls -= 1  # the second walk, for the weights, is none of the run's
    return rows


def _figures(
    one: Linear, gradients: dict[int, Tensor], before: Tensor, after: Tensor, first: Tensor
) -> Figures:
    size, start = length(before), length(first)
    return {
        "grad_norm": length(gradients[id(one.weight)]),
        "bias_grad_norm": None if one.bias is None else length(gradients[id(one.bias)]),
        "delta_norm": length(gradients[id(one.z)]),
        "weight_norm": size,
        "update_ratio": length(after - before) / size if size else None,
        "weight_drift": length(before - first) / start if start else None,
    }


def _penalty(run: Run, walk: Walk) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for one in walk.linears.values():
        if run.reg.name == "l2":
            total = total + run.reg.strength * (one.weight**2).sum()
        if run.reg.name == "l1":
            total = total + run.reg.strength * one.weight.abs().sum()
        if run.reg.name == "elastic_net":
            total = total + run.reg.l1 * one.weight.abs().sum() + run.reg.l2 * (one.weight**2).sum()
    return total


@pytest.fixture(scope="session")
def naive() -> Callable[[Run], Rows]:
    """`naive_rows`."""
    return naive_rows
