"""Dense blocks: each reads all earlier outputs side by side and adds units of its own (Huang et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from vanishgrad.theory.passage import Pass, Passage, Signal
from vanishgrad.theory.residual import branch
from vanishgrad.theory.stack import Layer, Weights, log, log_sum, through

Entry = Callable[[Sequence[Signal]], list[Passage]]
"""The passages of all parts of the stream, `(parts,)`, into a branch that reads them together."""


class DenseBlock(NamedTuple):
    """A dense block: the passages of the parts below, the layers of its branch."""

    entries: list[Passage]
    layers: list[Layer]


class DenseNetwork(NamedTuple):
    """The parts of the stream, of equal width, the blocks, and the passages to the output layer."""

    parts: list[Signal]
    blocks: list[DenseBlock]
    out: list[Passage]


def separately(passing: Pass) -> Entry:
    """Parts that do not see each other: no normalization, or one of each unit alone. Parts are only added."""
    known: list[Passage] = []

    def entry(parts: Sequence[Signal]) -> list[Passage]:
        known.extend(passing(part) for part in parts[len(known) :])
        return known[: len(parts)]

    return entry


def dense(
    y: Signal, stem: Weights, blocks: Sequence[Sequence[Weights]], passing: Pass, entry: Entry
) -> DenseNetwork:
    """The way up. A branch's first matrix reads the mean of the parts' moments: they are equally wide."""
    _, first = through(stem, y)
    parts, found = [first], list[DenseBlock]()
    for weights in blocks:
        entries = entry(parts)
        layers = branch(_mean([each.signal for each in entries]), weights, passing)
        found.append(DenseBlock(entries, layers))
        parts = [*parts, layers[-1].z]
    return DenseNetwork(parts, found, entry(parts))


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
