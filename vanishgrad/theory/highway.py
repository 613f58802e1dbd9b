"""Highway networks at initialization: T H(x) + (1 - T) x with a gate of its own weights (Srivastava 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

from vanishgrad.theory.passage import Pass, Signal
from vanishgrad.theory.quadrature import derivative, expectation
from vanishgrad.theory.stack import LARGEST, Layer, Weights, log, log_sum, stack, through


class Gate(NamedTuple):
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


class Highway(NamedTuple):
    """A highway block: its gate, the layers of H, and E[(H - x)^2]."""

    gate: Gate
    layers: list[Layer]
    difference: float


def gate(weights: Weights, x: Signal, bias: float) -> Gate:
    """The gate that reads units of the moments `x`; its bias is a constant."""
    variance_w, _ = weights(x.square)
    q = variance_w * x.square
    slope = derivative(torch.sigmoid)
    return Gate(
        expectation(lambda z: torch.sigmoid(z + bias), q),
        expectation(lambda z: torch.sigmoid(z + bias) ** 2, q),
        expectation(lambda z: slope(z + bias) ** 2, q),
        variance_w,
    )


def highway(
    y: Signal, stem: Weights, blocks: Sequence[Sequence[Weights]], passing: Pass, bias: float
) -> tuple[Layer, list[Highway]]:
    """The way up: the stem, a plain layer, and the blocks.

    Units of T, H and x at one place are independent, T and H through weights of their own:
    E[x'^2] = E[T^2] E[H^2] + 2 E[T (1 - T)] E[H] E[x] + E[(1 - T)^2] E[x^2].
    """
    variance_w, z = through(stem, y)
    first = Layer(variance_w, z, passing(z))
    square, mean = first.passage.signal.square, first.passage.mean
    found: list[Highway] = []
    for weights in blocks:
        opened = gate(weights[0], Signal(square), bias)
        layers = stack(Signal(square), weights, passing)
        out = layers[-1].passage
        difference = out.signal.square - 2 * out.mean * mean + square
        found.append(Highway(opened, layers, difference))
        mixed = opened.mean - opened.square  # E[T (1 - T)]
        kept = 1 - 2 * opened.mean + opened.square  # E[(1 - T)^2]
        square = min(opened.square * out.signal.square + 2 * mixed * out.mean * mean + kept * square, LARGEST)
        mean = opened.mean * out.mean + (1 - opened.mean) * mean
    return first, found


def highway_gradients(first: Layer, blocks: Sequence[Highway]) -> list[float]:
    """log E||dLoss/dz||^2 by layer, relative to the stream's end; a block's first has the gate's too."""
    upper, stream = list[list[float]](), 0.0
    for block in reversed(blocks):
        gate, layers = block.gate, block.layers
        logs = [stream + log(gate.square * layers[-1].passage.gain)]
        for below, above in zip(layers[-2::-1], layers[:0:-1], strict=True):
            logs.append(logs[-1] + log(below.passage.gain * above.variance_w))
        through_h = logs[-1] + log(layers[0].variance_w)
        of_gate = stream + log(gate.slope * block.difference)
        through_gate = of_gate + log(gate.variance_w)
        logs[-1] = log_sum(logs[-1], of_gate)
        upper.append(logs[::-1])
        kept = stream + log(1 - 2 * gate.mean + gate.square)
        stream = log_sum(kept, through_h, through_gate)
    return [stream + log(first.passage.gain), *(each for logs in reversed(upper) for each in logs)]
