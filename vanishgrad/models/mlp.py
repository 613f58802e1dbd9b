"""The multilayer perceptron: plain, or with shortcuts around blocks of hidden layers."""

from __future__ import annotations

import math

from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from vanishgrad.choices.normalization import Weight
from vanishgrad.choices.regularization import Dropout
from vanishgrad.choices.residual import Dense, Fixup, Highway, Rezero, Scaled
from vanishgrad.models.dropout import SeededDropout
from vanishgrad.models.linear import Linear
from vanishgrad.models.network import Network, Parts
from vanishgrad.models.residual import (
    Concatenation,
    HighwayShortcut,
    RezeroShortcut,
    ScalarBias,
    ScalarMultiplier,
    Shortcut,
)
from vanishgrad.models.sequence import Sequence
from vanishgrad.run import Run


def mlp(run: Run) -> Network:
    """The perceptron of `run`, its parameters not yet initialized.

    Plain layers are linear, norm, activation (or linear, activation, norm). With shortcuts, layer 1 is the
    stem and the blocks are in pre-activation form (norm, activation, linear), closed by a last activation
    before the output; highway blocks are in plain form, as in their paper.
    """
    blocks = run.blocks
    inputs = math.prod(run.data.shape)
    parts: Parts = {"flatten": nn.Flatten()}
    if not blocks:
        for index in range(1, run.depth + 1):
            parts |= _plain(run, index, inputs if index == 1 else run.width)
    elif isinstance(run.residual, Highway):
        parts |= _plain(run, 1, inputs)
        parts |= {f"block_{n}": _highway(run, block) for n, block in enumerate(blocks, 1)}
    else:
        parts |= {"linear_1": _linear(run, inputs)}
        parts |= {f"block_{n}": _block(run, block, n, len(blocks)) for n, block in enumerate(blocks, 1)}
        parts |= _activated(run, run.depth + 1, _stream_width(run, len(blocks)))
        parts |= {"bias_output": ScalarBias()} if isinstance(run.residual, Fixup) else {}
    last = inputs if run.depth == 0 else _stream_width(run, len(blocks))
    parts["output"] = Linear(last, run.data.outputs)
    return Network(parts, _numbered(parts, run.depth), run.recompute_every)


def _linear(run: Run, inputs: int, bias: bool = True) -> Linear:
    linear = Linear(inputs, run.width, bias=bias)
    if isinstance(run.norm, Weight):
        weight_norm(linear)
    return linear


def _activated(run: Run, index: int, width: int) -> Parts:
    """Normalization, activation and dropout on the way out of layer `index`, or into it in a block."""
    act: Parts = {f"act_{index}": run.act.module()}
    module = run.norm.module(width)
    norm: Parts = {f"norm_{index}": module} if module is not None else {}
    parts = norm | act if run.norm.position == "pre" else act | norm
    if isinstance(run.residual, Fixup) and run.depth > 1:
        parts = {f"bias_act_{index}": ScalarBias()} | parts
    if isinstance(run.reg, Dropout):
        parts[f"dropout_{index}"] = SeededDropout(run.reg.rate, run.seed, index)
    return parts


def _plain(run: Run, index: int, inputs: int) -> Parts:
    return {f"linear_{index}": _linear(run, inputs)} | _activated(run, index, run.width)


def _stream_width(run: Run, blocks: int) -> int:
    """Units in the stream after so many blocks."""
    return run.width * (1 + blocks) if isinstance(run.residual, Dense) else run.width


def _block(run: Run, layers: range, number: int, blocks: int) -> nn.Module:
    """Residual block `number` of `blocks`, in pre-activation form."""
    parts: Parts = {}
    for index in layers:
        inputs = _stream_width(run, number - 1) if index == layers[0] else run.width
        parts |= _activated(run, index, inputs)
        if isinstance(run.residual, Fixup):
            parts[f"bias_{index}"] = ScalarBias()
        parts[f"linear_{index}"] = _linear(run, inputs, bias=not isinstance(run.residual, Fixup))
    branch = Sequence()
    for name, part in parts.items():
        branch.add_module(name, part)
    return _joined(run, branch, blocks)


def _joined(run: Run, branch: nn.Sequential, blocks: int) -> nn.Module:
    match run.residual:
        case Scaled(scale=scale):
            return Shortcut(branch, 1 / math.sqrt(blocks) if scale is None else scale)
        case Rezero():
            return RezeroShortcut(branch)
        case Fixup():
            branch.add_module("multiplier", ScalarMultiplier())
            return Shortcut(branch)
        case Dense():
            return Concatenation(branch)
        case _:
            return Shortcut(branch)


def _highway(run: Run, layers: range) -> nn.Module:
    branch = Sequence()
    for index in layers:
        for name, part in _plain(run, index, run.width).items():
            branch.add_module(name, part)
    gate = Sequence()
    gate.add_module(f"gate_{layers[0]}", _linear(run, run.width))
    gate.add_module("sigmoid", nn.Sigmoid())
    return HighwayShortcut(branch, gate)


def _numbered(parts: Parts, depth: int) -> dict[str, int]:
    """The layer of every linear module, read off its name; the output layer comes after the hidden ones."""
    numbers = {}
    for name, part in parts.items():
        for path, module in part.named_modules(prefix=name):
            if isinstance(module, nn.Linear):
                suffix = path.rsplit("_", 1)[-1]
                numbers[path] = int(suffix) if suffix.isdigit() else depth + 1
    return numbers
