"""Networks with shortcuts: a stream x + scale F(x) of pre-activation blocks (Yang and Schoenholz 2017).

The stream of the stem's outputs is Gaussian over the units and stays so, since the last matrix of every
branch adds independent values: lengths add up, and so do squared gradients on the way down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from vanishgrad.theory.gaussian import derivative, expectation
from vanishgrad.theory.stack import (
    LARGEST,
    LayerMoments,
    Passage,
    PassageMap,
    Signal,
    Weights,
    log,
    log_sum,
    same_moments,
    stack,
    through,
)


class Block(NamedTuple):
    """A residual block.

    Arguments:
        entry: the passage from the stream to the branch's first weights.
        layers: of the branch; the last one's z is what joins the stream.
    """

    entry: Passage
    layers: list[LayerMoments]


class Stream(NamedTuple):
    """A residual network.

    Arguments:
        stem: the moments of the stream where it begins.
        blocks: from the input up.
        end: the moments of the stream after the last block.
        scale: the factor of every branch.
    """

    stem: Signal
    blocks: list[Block]
    end: Signal
    scale: float


def residual_stream(
    y: Signal, stem: Weights, blocks: Sequence[Sequence[Weights]], passing: PassageMap, scale: float
) -> Stream:
    """The moments of every layer of a residual network, upwards from the input.

    Arguments:
        y: the moments of the input.
        stem: weights of the first layer, which has no activation of its own.
        blocks: weights of each block's layers; every layer reads what `passing` makes of what is below.
        passing: normalization and activation before every matrix.
        scale: the factor of every branch.
    """
    _, first = through(stem, y)
    x, passed = first, list[Block]()
    for weights in blocks:
        entry = passing(x)
        layers = branch(entry.signal, weights, passing)
        passed.append(Block(entry, layers))
        x = joined(x, layers[-1].z, scale)
    return Stream(first, passed, x, scale)


def branch(y: Signal, weights: Sequence[Weights], passing: PassageMap) -> list[LayerMoments]:
    """The layers of a branch that reads `y`; what the last one gives passes through nothing more."""
    layers: list[LayerMoments] = []
    for each in weights:
        variance_w, z = through(each, y)
        last = len(layers) + 1 == len(weights)
        if last or (layers and same_moments(z, layers[-1].z)):
            passage = layers[-1].passage if layers else Passage(z, 0.0, 1.0)
        else:
            passage = passing(z)
        layers.append(LayerMoments(variance_w, z, passage))
        y = passage.signal
    return layers


def joined(x: Signal, z: Signal, scale: float) -> Signal:
    """The moments of x + scale z, z independent of x and of mean 0."""
    return Signal(min(x.square + scale**2 * z.square, LARGEST), x.shared + scale**2 * z.shared)


def branch_gradients(block: Block) -> tuple[list[float], float]:
    """log E||dLoss/dz||^2 of the branch's layers, and of its input, relative to the last one's."""
    logs, layers = [0.0], block.layers
    for below, above in zip(layers[-2::-1], layers[:0:-1], strict=True):
        logs.append(logs[-1] + log(below.passage.gain * above.variance_w))
    return logs[::-1], logs[-1] + log(block.entry.gain * layers[0].variance_w)


def stream_gradients(network: Stream) -> tuple[list[float], list[float]]:
    """log E||dLoss/dz||^2 of every layer, and of the stream before each block and after the last.

    Both relative to the stream's end. A block multiplies the stream's squared gradient by 1 + scale^2 times
    the gain of its branch; the two terms are uncorrelated, since the branch's last matrix has mean 0.
    """
    scale = 2 * log(abs(network.scale))
    layers: list[list[float]] = []
    stream_logs = [0.0]
    for block in reversed(network.blocks):
        inside, into = branch_gradients(block)
        layers.append([stream_logs[-1] + scale + each for each in inside])
        stream_logs.append(stream_logs[-1] + log_sum(0.0, scale + into))
    flat = [stream_logs[-1], *(each for block_logs in reversed(layers) for each in block_logs)]
    return flat, stream_logs[::-1]


Entry = Callable[[Sequence[Signal]], list[Passage]]
"""The passages of all parts of the stream, `(parts,)`, into a branch that reads them together."""


class DenseMoments(NamedTuple):
    """A dense block: the passages of the parts below, the layers of its branch."""

    entries: list[Passage]
    layers: list[LayerMoments]


class DenseNetwork(NamedTuple):
    """The parts of the stream, of equal width, the blocks, and the passages to the output layer."""

    parts: list[Signal]
    blocks: list[DenseMoments]
    out: list[Passage]


def separately(passing: PassageMap) -> Entry:
    """Parts that do not see each other: no normalization, or one of each unit alone. Parts are only added."""
    passages: list[Passage] = []  # of the parts so far, which stay the same

    def entry(parts: Sequence[Signal]) -> list[Passage]:
        passages.extend(passing(part) for part in parts[len(passages) :])
        return passages[: len(parts)]

    return entry


def dense(
    y: Signal, stem: Weights, blocks: Sequence[Sequence[Weights]], passing: PassageMap, entry: Entry
) -> DenseNetwork:
    """The moments of every layer of a dense network; a branch's first matrix reads the mean of its parts'."""
    _, first = through(stem, y)
    parts, passed = [first], list[DenseMoments]()
    for weights in blocks:
        entries = entry(parts)
        layers = branch(_mean([each.signal for each in entries]), weights, passing)
        passed.append(DenseMoments(entries, layers))
        parts = [*parts, layers[-1].z]
    return DenseNetwork(parts, passed, entry(parts))


def dense_gradients(network: DenseNetwork) -> list[float]:
    """log E||dLoss/dz||^2 of every layer, relative to what the output layer sends to each part of its input.

    A matrix that reads n parts has the variance sigma_w^2 / (n width) and sends sigma_w^2 / n of its squared
    gradient to each of them.
    """
    at_part = [log(each.gain) for each in network.out]  # so far
    logs: list[list[float]] = []
    for number in range(len(network.blocks), 0, -1):
        block = network.blocks[number - 1]
        inside, into = [at_part[number]], block.layers[0].variance_w / number
        for below, above in zip(block.layers[-2::-1], block.layers[:0:-1], strict=True):
            inside.append(inside[-1] + log(below.passage.gain * above.variance_w))
        logs.append(inside[::-1])
        sent = [inside[-1] + log(into * entry.gain) for entry in block.entries]
        at_part = [log_sum(part, more) for part, more in zip(at_part, sent, strict=False)]
    return [at_part[0], *(each for block_logs in reversed(logs) for each in block_logs)]


def _mean(signals: Sequence[Signal]) -> Signal:
    square = sum(signal.square for signal in signals) / len(signals)
    return Signal(square, sum(signal.shared for signal in signals) / len(signals))


class GateMoments(NamedTuple):
    """Second moments of a gate T = sigmoid(g), g normal.

    Arguments:
        mean: E[T].
        square: E[T^2].
        slope: E[T'^2].
        variance_w: sigma_w^2 of its weights.
    """

    mean: float
    square: float
    slope: float
    variance_w: float


class HighwayMoments(NamedTuple):
    """A highway block: its gate, the layers of H, and E[(H - x)^2]."""

    gate: GateMoments
    layers: list[LayerMoments]
    difference: float


def gate(weights: Weights, x: Signal, bias: float) -> GateMoments:
    """The gate that reads units of the moments `x`; its bias is a constant."""
    variance_w, _ = weights(x.square)
    q = variance_w * x.square
    slope = derivative(torch.sigmoid)
    return GateMoments(
        expectation(lambda z: torch.sigmoid(z + bias), q),
        expectation(lambda z: torch.sigmoid(z + bias) ** 2, q),
        expectation(lambda z: slope(z + bias) ** 2, q),
        variance_w,
    )


def highway(
    y: Signal, stem: Weights, blocks: Sequence[Sequence[Weights]], passing: PassageMap, bias: float
) -> tuple[LayerMoments, list[HighwayMoments]]:
    """The moments of a highway network's layers: the stem, a plain layer, and the blocks.

    Units of T, H and x at one place are independent, T and H through weights of their own:
    E[x'^2] = E[T^2] E[H^2] + 2 E[T (1 - T)] E[H] E[x] + E[(1 - T)^2] E[x^2].
    """
    variance_w, z = through(stem, y)
    first = LayerMoments(variance_w, z, passing(z))
    square, mean = first.passage.signal.square, first.passage.mean
    passed: list[HighwayMoments] = []
    for weights in blocks:
        opened = gate(weights[0], Signal(square), bias)
        layers = stack(Signal(square), weights, passing)
        out = layers[-1].passage
        difference = out.signal.square - 2 * out.mean * mean + square
        passed.append(HighwayMoments(opened, layers, difference))
        mixed = opened.mean - opened.square  # E[T (1 - T)]
        kept = 1 - 2 * opened.mean + opened.square  # E[(1 - T)^2]
        square = min(opened.square * out.signal.square + 2 * mixed * out.mean * mean + kept * square, LARGEST)
        mean = opened.mean * out.mean + (1 - opened.mean) * mean
    return first, passed


def highway_gradients(first: LayerMoments, blocks: Sequence[HighwayMoments]) -> list[float]:
    """log E||dLoss/dz||^2 by layer, relative to the stream's end; a block's first has the gate's too."""
    upper, residual_stream = list[list[float]](), 0.0
    for block in reversed(blocks):
        gate, layers = block.gate, block.layers
        logs = [residual_stream + log(gate.square * layers[-1].passage.gain)]
        for below, above in zip(layers[-2::-1], layers[:0:-1], strict=True):
            logs.append(logs[-1] + log(below.passage.gain * above.variance_w))
        through_h = logs[-1] + log(layers[0].variance_w)
        of_gate = residual_stream + log(gate.slope * block.difference)
        through_gate = of_gate + log(gate.variance_w)
        logs[-1] = log_sum(logs[-1], of_gate)
        upper.append(logs[::-1])
        kept = residual_stream + log(1 - 2 * gate.mean + gate.square)
        residual_stream = log_sum(kept, through_h, through_gate)
    return [residual_stream + log(first.passage.gain), *(each for logs in reversed(upper) for each in logs)]
