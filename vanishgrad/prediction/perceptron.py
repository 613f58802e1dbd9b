"""The gradient of every hidden layer of a perceptron, plain or with shortcuts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from vanishgrad.choices.activation import Identity, LeakyReLU, PReLU, ReLU
from vanishgrad.choices.initialization import LSUV
from vanishgrad.choices.normalization import BatchNorm, NoNorm, WeightNorm
from vanishgrad.choices.residual import DenseShortcut, Fixup, HighwayShortcut, Rezero, ScaledShortcut
from vanishgrad.models.shape import shapes
from vanishgrad.prediction.inputs import Inputs
from vanishgrad.prediction.passing import noise_of
from vanishgrad.prediction.weights import weights_of
from vanishgrad.run import Run
from vanishgrad.theory.residual import (
    dense,
    dense_gradients,
    highway,
    highway_gradients,
    separately,
    stream,
    stream_gradients,
)
from vanishgrad.theory.stack import (
    LayerMoments,
    PassageMap,
    Signal,
    Weights,
    shared_gradients,
    squared_gradients,
    stack,
)

DEEPEST = 200  # layers for which lengths are told apart; it takes five times as long
ZERO_BRANCHES = (
    "residual={}: every branch starts at 0, so that all gradients inside the blocks{} are exactly 0 at step "
    "0; the stream carries the same gradient past every block"
)


@dataclass(frozen=True)
class HiddenMoments:
    """The hidden layers as the theory has them.

    Arguments:
        logs: log E||dLoss/dz||^2 by layer, up to a constant; minus infinity for exactly 0.
        lengths: E[z^2] by layer.
        first: the moments of the first layer's z; None where there is no theory of the network.
        layers: of a plain perceptron; empty with shortcuts.
        notes: what to say of them.
    """

    logs: list[float] | None
    lengths: list[float] | None
    first: Signal | None = None
    layers: list[LayerMoments] = field(default_factory=list)
    notes: tuple[str, ...] = ()


def uncovered(reason: str) -> HiddenMoments:
    """Layers that the theory has nothing on."""
    return HiddenMoments(None, None, notes=(reason,))


def hidden_layers(run: Run, inputs: Inputs, passing: PassageMap | str) -> HiddenMoments:
    """The hidden layers of the perceptron `run`."""
    if isinstance(passing, str):
        return uncovered(passing)
    if isinstance(run.init, LSUV) and noise_of(run) > 1:
        return uncovered("init=lsuv with dropout: its variances are measured without dropout; not covered")
    found = [
        weights_of(run.init, run.act, shape.inputs, shape.outputs)
        for shape in shapes(run, math.prod(run.data.shape))[: run.depth]
    ]
    weights = [each for each in found if each is not None]
    if len(weights) < run.depth:
        return uncovered(f"init={run.init.name}: not covered by the theory")
    y = Signal(inputs.length, inputs.shared)
    if not run.blocks:
        layers = stack(y, weights, passing)
        logs = _over_lengths(run, inputs, weights, passing, layers)
        return HiddenMoments(logs, [layer.z.square for layer in layers], layers[0].z, layers)
    stem, blocks = weights[0], [[weights[layer - 1] for layer in block] for block in run.blocks]
    match run.residual:
        case HighwayShortcut(gate_bias=bias):
            return _highway(run, y, stem, blocks, passing, bias)
        case DenseShortcut():
            return _dense(run, y, stem, blocks, passing)
        case _:
            return _stream(run, y, stem, blocks, passing)


def _over_lengths(
    run: Run, inputs: Inputs, weights: Sequence[Weights], passing: PassageMap, layers: list[LayerMoments]
) -> list[float]:
    """log E||dLoss/dz||^2 over inputs of all lengths, where an activation passes long and short ones unalike.

    The weights are those of inputs of the mean length, `layers`; of deep networks they are all that is used.
    """
    alike = isinstance(run.act, ReLU | LeakyReLU | PReLU | Identity) or run.depth > DEEPEST
    if alike or not isinstance(run.norm, NoNorm | WeightNorm):
        return squared_gradients(layers)
    read = [inputs.length, *(layer.passage.signal.square for layer in layers)]
    pairs = [each(square) for each, square in zip(weights, read, strict=False)]
    fixed: list[Weights] = [lambda square, pair=pair: pair for pair in pairs]  # type: ignore[misc]
    return shared_gradients([stack(Signal(length), fixed, passing) for length in inputs.lengths])


def branch_scale(run: Run) -> float:
    """The factor of every branch at the start."""
    match run.residual:
        case Rezero() | Fixup():
            return 0.0
        case ScaledShortcut(scale=scale):
            return 1 / math.sqrt(len(run.blocks)) if scale is None else scale
        case _:
            return 1.0


def _stream(
    run: Run, y: Signal, stem: Weights, blocks: Sequence[Sequence[Weights]], passing: PassageMap
) -> HiddenMoments:
    network = stream(y, stem, blocks, passing, branch_scale(run))
    lengths = [network.stem.square, *(layer.z.square for block in network.blocks for layer in block.layers)]
    if isinstance(run.residual, Fixup):
        first = " (with its classifier at 0, all of the network's)"
        return HiddenMoments(None, None, network.stem, notes=(ZERO_BRANCHES.format("fixup", first),))
    if isinstance(run.residual, Rezero):
        logs = [0.0] + [-math.inf] * (run.depth - 1)
        return HiddenMoments(logs, lengths, network.stem, notes=(ZERO_BRANCHES.format("rezero", ""),))
    return HiddenMoments(stream_gradients(network)[0], lengths, network.stem)


def _highway(
    run: Run, y: Signal, stem: Weights, blocks: Sequence[Sequence[Weights]], passing: PassageMap, bias: float
) -> HiddenMoments:
    if isinstance(run.norm, BatchNorm):
        return uncovered("residual=highway with norm=batch: what its gates share over a batch is not covered")
    first, found = highway(y, stem, blocks, passing, bias)
    lengths = [first.z.square, *(layer.z.square for block in found for layer in block.layers)]
    return HiddenMoments(highway_gradients(first, found), lengths, first.z)


def _dense(
    run: Run, y: Signal, stem: Weights, blocks: Sequence[Sequence[Weights]], passing: PassageMap
) -> HiddenMoments:
    if not isinstance(run.norm, NoNorm | WeightNorm | BatchNorm):
        return uncovered(
            f"residual=dense with norm={run.norm.name}: normalization over parts of different lengths is not "
            "covered"
        )
    network = dense(y, stem, blocks, passing, separately(passing))
    lengths = [
        network.parts[0].square,
        *(layer.z.square for block in network.blocks for layer in block.layers),
    ]
    return HiddenMoments(dense_gradients(network), lengths, network.parts[0])
