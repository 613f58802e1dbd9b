"""Where an activation is flat: its saturated fraction and its dead units."""

from __future__ import annotations

import math
from copy import deepcopy
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

FLAT = 0.05  # of the largest slope; below it an output counts as saturated

ACTIVATIONS = (
    nn.ReLU, nn.Sigmoid, nn.Tanh, nn.Softsign, nn.Softplus, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU,
    nn.GELU, nn.SiLU, nn.Mish, nn.Identity, nn.ReLU6, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish,
    nn.LogSigmoid, nn.Tanhshrink, nn.Softshrink, nn.Hardshrink,
)  # fmt: skip


def is_activation(module: nn.Module) -> bool:
    """Whether `module` is an elementwise nonlinearity: torch's own, or one that says so.

    A module of one's own counts when its class has the attribute `elementwise = True`.
    """
    return isinstance(module, ACTIVATIONS) or getattr(module, "elementwise", False) is True


def works_in_place(module: nn.Module) -> bool:
    """Whether an activation overwrites its input."""
    return getattr(module, "inplace", False) is True


def slope(module: nn.Module, inputs: Tensor) -> Tensor:
    """The derivative of an elementwise module at `inputs`, as autograd computes it; same shape."""
    # hooks on saved tensors belong to the pass around: activation checkpointing would begin to recompute
    with torch.enable_grad(), saved_tensors_hooks(_same, _same):
        inputs = inputs.detach().clone().requires_grad_()
        entering = inputs.clone() if works_in_place(module) else inputs
        (gradient,) = torch.autograd.grad(module(entering).sum(), inputs)
    return gradient


def _same(tensor: Tensor) -> Tensor:
    return tensor


def max_slope(module: nn.Module) -> float:
    """The largest |slope| of an elementwise module."""
    if isinstance(module, nn.PReLU):
        return max(1.0, float(module.weight.detach().abs().max()))
    return _max_slope(module)


def flatness(module: nn.Module, inputs: Tensor, outputs: Tensor, scratch: Tensor) -> tuple[Tensor, Tensor]:
    """How flat an activation is on each of several layers.

    Arguments:
        module: the activation.
        inputs, outputs: of every layer, `(layers, batch, units...)`.
        scratch: memory of the same shape as the outputs, overwritten.

    Returns:
        saturation `(layers,)`: the fraction of outputs whose |slope| is under 5 % of the largest, and
        dead fraction `(layers,)`: the fraction of units whose slope is exactly 0 on the whole batch.
    """
    match module:
        case nn.ReLU():
            dead = outputs.amax(1) <= 0
            return fraction(torch.le(outputs, 0.0, out=scratch)), _share(dead)
        case nn.Tanh():
            size = torch.abs(outputs, out=scratch)
            dead = size.amin(1) >= 1
            return fraction(torch.gt(size, math.sqrt(1 - FLAT), out=scratch)), _share(dead)
        case nn.Sigmoid():
            size = torch.addcmul(outputs, outputs, outputs, value=-1, out=scratch)  # y - y^2
            dead = size.amax(1) == 0
            return fraction(torch.lt(size, FLAT / 4, out=scratch)), _share(dead)
        case nn.Identity():
            return outputs.new_zeros(len(outputs)), outputs.new_zeros(len(outputs))
    size = slope(module, inputs).abs_()
    dead = size.amax(1) == 0
    return fraction(torch.lt(size, FLAT * (max_slope(module) or 1.0), out=scratch)), _share(dead)


def reads_outputs(module: nn.Module) -> bool:
    """Whether `flatness` needs an activation's outputs alone, which saves gathering the inputs."""
    return isinstance(module, (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Identity))


def fraction(ones: Tensor) -> Tensor:
    """The mean of each row of zeros and ones; as numbers, since sums of booleans are slow on a CPU."""
    return ones.flatten(1).mean(1)


def _share(units: Tensor) -> Tensor:
    """Fraction of true units `(layers, units...)`, per layer."""
    return units.flatten(1).double().mean(1)


@lru_cache(maxsize=64)
def _max_slope(module: nn.Module) -> float:
    half = torch.linspace(1e-9, 20, 20_001, dtype=torch.float64)
    return float(slope(deepcopy(module).double().cpu(), torch.cat([-half, half])).abs().max())


TAILS = 20.0, 1000.0  # where an activation that is flat at its ends has come to them


def is_bounded(model: nn.Module) -> bool | None:
    """Whether the activations of `model` are flat on both sides, as their slopes say.

    None where it has none that is a module, or some are and others are not.
    """
    parts = [part for part in model.modules() if is_activation(part) and not isinstance(part, nn.Identity)]
    answers = {_flat_ends(part) for part in parts}
    return answers.pop() if len(answers) == 1 else None


def _flat_ends(module: nn.Module) -> bool:
    """Whether the slope is under 5 % of the largest all along both tails."""
    right = torch.linspace(*TAILS, 99, dtype=torch.float64)
    steep = slope(deepcopy(module).double().cpu(), torch.cat([-right, right])).abs()
    return bool((steep < FLAT * max_slope(module)).all())


OURS = {nn.LeakyReLU: "leaky_relu", nn.PReLU: "prelu"}  # the others are called as in lower case


def activation_of(model: nn.Module) -> str | None:
    """Its name as in `act=...`; None where the model has several, or none that is a module."""
    kinds = {type(part) for part in model.modules() if is_activation(part)} - {nn.Identity}
    return _name(kinds.pop()) if len(kinds) == 1 else None


def _name(kind: type[nn.Module]) -> str:
    return OURS.get(kind, kind.__name__.lower())
