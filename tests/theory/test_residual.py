"""Branches of residual networks: their gradients are products of what each layer passes on."""

from __future__ import annotations

import math

import pytest
import torch

from vanishgrad.theory.residual import Block, Stream, branch_gradients, gate, highway, stream_gradients
from vanishgrad.theory.stack import LayerMoments, Passage, Signal

UNIT = Signal(1.0, 0.0)


def block(entry: float, variances: list[float], gains: list[float]) -> Block:
    """A branch whose layers have these weights' variances, and these gains after each but the last."""
    passages = [Passage(UNIT, 0.0, gain) for gain in [*gains, math.nan]]  # nothing reads the last one
    layers = [LayerMoments(each, UNIT, passage) for each, passage in zip(variances, passages, strict=True)]
    return Block(Passage(UNIT, 0.0, entry), layers)


def test_a_branch_of_three_layers_multiplies_what_lies_above_each() -> None:
    logs, into = branch_gradients(block(0.5, [2.0, 3.0, 5.0], [7.0, 11.0]))
    assert logs == pytest.approx([math.log(7 * 3 * 11 * 5), math.log(11 * 5), 0.0])
    assert into == pytest.approx(math.log(0.5 * 2 * 7 * 3 * 11 * 5))


def test_a_branch_of_one_layer_has_its_entry_alone() -> None:
    assert branch_gradients(block(0.5, [2.0], [])) == ([0.0], pytest.approx(math.log(0.5 * 2)))


def test_the_stream_adds_what_every_branch_gives_back() -> None:
    """By hand: two blocks of gain 4 and 6 times scale^2 = 0.25."""
    network = Stream(UNIT, [block(2.0, [2.0], []), block(3.0, [2.0], [])], UNIT, 0.5)
    layers, stream = stream_gradients(network)
    assert stream == pytest.approx([math.log(2.5 * 2), math.log(2.5), 0.0])
    assert layers == pytest.approx([math.log(2.5 * 2), math.log(2.5 * 0.25), math.log(0.25)])


def test_the_gate_of_a_highway_reads_what_the_first_layer_of_its_branch_reads() -> None:
    """It has weights of that layer's variance; a bias that opens it half at 0."""
    first, second = ((lambda square, v=v: (v, 0.0)) for v in (0.5, 3.0))

    def passing(x: Signal) -> Passage:
        return Passage(x, 0.0, 1.0)

    stem, (moved,) = highway(Signal(2.0, 0.0), lambda square: (1.0, 0.0), [[first, second]], passing, 0.0)
    assert (stem.z.square, moved.gate) == (2.0, gate(first, Signal(2.0), 0.0))
    assert moved.gate != gate(second, Signal(2.0), 0.0)
    assert moved.gate.mean == pytest.approx(0.5)
    z = math.sqrt(0.5 * 2.0) * torch.randn(10**6, generator=torch.Generator().manual_seed(0))
    assert moved.gate.square == pytest.approx(float(z.sigmoid().square().mean()), rel=1e-3)
