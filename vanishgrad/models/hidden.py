"""Hidden layers in a row or in residual blocks, whatever their weight matrices are."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from vanishgrad.choices.normalization import WeightNorm
from vanishgrad.choices.regularization import Dropout
from vanishgrad.choices.residual import DenseShortcut, Fixup, HighwayShortcut, Rezero, ScaledShortcut
from vanishgrad.models.network import Parts
from vanishgrad.models.residual import (
    DenseBlock,
    HighwayBlock,
    ResidualBlock,
    Resize,
    RezeroBlock,
    ScalarBias,
    ScalarMultiplier,
)
from vanishgrad.models.shape import Shape
from vanishgrad.modules.dropout import SeededDropout
from vanishgrad.modules.observer import Sequence
from vanishgrad.run import Run


@dataclass(frozen=True)
class HiddenLayers:
    """The hidden layers of `run`, their parameters not yet initialized.

    Plain layers are matrix, norm, activation (or matrix, activation, norm). With shortcuts, layer 1 is the
    stem and the blocks are in pre-activation form (norm, activation, matrix), closed by a last activation
    before the output; highway blocks are in plain form, as in their paper.

    Arguments:
        run: the setting.
        kind: how a layer's matrix is called: linear or conv.
        matrix: makes one from its shape, with a bias or without.
        shapes: of the layers, the output layer's last.
        bias: whether matrices have one; gates do in any case, layers in fixup's branches never.
        spatial: dimensions of a unit's map; 0 where it is a number.
    """

    run: Run
    kind: str
    matrix: Callable[[Shape, bool], nn.Module]
    shapes: list[Shape]
    bias: bool = True
    spatial: int = 0

    def parts(self) -> Parts:
        """The modules by name, in order."""
        blocks = self.run.blocks
        if not blocks:
            return self._plain(range(1, self.run.depth + 1))
        if isinstance(self.run.residual, HighwayShortcut):
            stem = self._plain(range(1, 2))
            return stem | {f"block_{n}": self._highway(block) for n, block in enumerate(blocks, 1)}
        stem = {f"{self.kind}_1": self._matrix(1)}
        parts = stem | {f"block_{n}": self._block(block, len(blocks)) for n, block in enumerate(blocks, 1)}
        parts |= self._activated(self.run.depth + 1, self.shapes[-1].inputs)
        return parts | ({"bias_output": ScalarBias()} if isinstance(self.run.residual, Fixup) else {})

    def _shape(self, layer: int) -> Shape:
        return self.shapes[layer - 1]

    def _matrix(self, layer: int) -> nn.Module:
        scalar_bias = isinstance(self.run.residual, Fixup) and layer > 1
        return self._normalized(self.matrix(self._shape(layer), self.bias and not scalar_bias))

    def _normalized(self, matrix: nn.Module) -> nn.Module:
        return weight_norm(matrix) if isinstance(self.run.norm, WeightNorm) else matrix

    def _activated(self, index: int, width: int) -> Parts:
        """Normalization, activation and dropout on the way out of layer `index`, or into it in a block."""
        run = self.run
        act: Parts = {f"act_{index}": run.act.module()}
        module = run.norm.module(width, self.spatial)
        norm: Parts = {f"norm_{index}": module} if module is not None else {}
        parts = norm | act if run.norm.position == "pre" else act | norm
        if isinstance(run.residual, Fixup) and run.depth > 1:
            parts = {f"bias_act_{index}": ScalarBias()} | parts
        if isinstance(run.reg, Dropout):
            parts[f"dropout_{index}"] = SeededDropout(run.reg.rate, run.seed, index)
        return parts

    def _plain(self, layers: range) -> Parts:
        parts: Parts = {}
        for layer in layers:
            parts[f"{self.kind}_{layer}"] = self._matrix(layer)
            parts |= self._activated(layer, self._shape(layer).outputs)
        return parts

    def _block(self, layers: range, blocks: int) -> nn.Module:
        """A residual block, one of so many, in pre-activation form."""
        parts: Parts = {}
        for layer in layers:
            parts |= self._activated(layer, self._shape(layer).inputs)
            if isinstance(self.run.residual, Fixup):
                parts[f"bias_{layer}"] = ScalarBias()
            parts[f"{self.kind}_{layer}"] = self._matrix(layer)
        if isinstance(self.run.residual, Fixup):
            parts["multiplier"] = ScalarMultiplier()
        return self._joined(_in_a_row(parts), self._resize(layers), blocks)

    def _joined(self, branch: Sequence, resize: Resize | None, blocks: int) -> nn.Module:
        match self.run.residual:
            case ScaledShortcut(scale=scale):
                return ResidualBlock(branch, 1 / math.sqrt(blocks) if scale is None else scale, resize)
            case Rezero():
                return RezeroBlock(branch, resize)
            case DenseShortcut():
                return DenseBlock(branch, resize)
            case _:
                return ResidualBlock(branch, resize=resize)

    def _highway(self, layers: range) -> nn.Module:
        shape = self._shape(layers[0])
        gate = self._normalized(self.matrix(shape, True))
        gated = _in_a_row({f"gate_{layers[0]}": gate, "sigmoid": nn.Sigmoid()})
        return HighwayBlock(_in_a_row(self._plain(layers)), gated, self._resize(layers))

    def _resize(self, layers: range) -> Resize | None:
        """What gives the stream the size that the block's branch has; None where it has it already."""
        shape = self._shape(layers[0])
        new = 0 if isinstance(self.run.residual, DenseShortcut) else shape.outputs - shape.inputs
        return Resize(shape.stride, new) if new or shape.stride > 1 else None


def _in_a_row(parts: Parts) -> Sequence:
    return Sequence(OrderedDict(parts))


def numbered(parts: Parts, depth: int) -> dict[str, int]:
    """The layer of every matrix, read off its module's name; the output layer comes after the hidden ones."""
    numbers = {}
    for name, part in parts.items():
        for path, module in part.named_modules(prefix=name):
            if isinstance(module, nn.Linear | nn.Conv2d):
                suffix = path.rsplit("_", 1)[-1]
                numbers[path] = int(suffix) if suffix.isdigit() else depth + 1
    return numbers
