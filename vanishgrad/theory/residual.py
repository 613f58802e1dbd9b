"""Networks with shortcuts: a stream x + scale F(x) of pre-activation blocks (Yang and Schoenholz 2017).

The stream of the stem's outputs is Gaussian over the units and stays so, since the last matrix of every
branch adds independent values: lengths add up, and so do squared gradients on the way down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vanishgrad.theory.passage import Pass, Passage, Signal
from vanishgrad.theory.stack import LARGEST, Layer, Weights, alike, log, log_sum, through


class Block(NamedTuple):
    """A residual block.

    Arguments:
        entry: the passage from the stream to the branch's first weights.
        layers: of the branch; the last one's z is what joins the stream.
    """

    entry: Passage
    layers: list[Layer]


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


def stream(
    y: Signal, stem: Weights, blocks: Sequence[Sequence[Weights]], passing: Pass, scale: float
) -> Stream:
    """The way up.

    Arguments:
        y: the moments of the input.
        stem: weights of the first layer, which has no activation of its own.
        blocks: weights of each block's layers; every layer reads what `passing` makes of what is below.
        passing: normalization and activation before every matrix.
        scale: the factor of every branch.
    """
    _, first = through(stem, y)
    x, found = first, list[Block]()
    for weights in blocks:
        entry = passing(x)
        layers = branch(entry.signal, weights, passing)
        found.append(Block(entry, layers))
        x = joined(x, layers[-1].z, scale)
    return Stream(first, found, x, scale)


def branch(y: Signal, weights: Sequence[Weights], passing: Pass) -> list[Layer]:
    """The layers of a branch that reads `y`; what the last one gives passes through nothing more."""
    layers: list[Layer] = []
    for each in weights:
        variance_w, z = through(each, y)
        last = len(layers) + 1 == len(weights)
        if last or (layers and alike(z, layers[-1].z)):
            passage = layers[-1].passage if layers else Passage(z, 0.0, 1.0)
        else:
            passage = passing(z)
        layers.append(Layer(variance_w, z, passage))
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
