"""Branches of residual networks: their gradients are products of what each layer passes on."""

from __future__ import annotations

import math

import pytest

from vanishgrad.theory.residual import Block, Stream, branch_gradients, stream_gradients
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
