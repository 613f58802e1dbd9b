"""Layers numbered as a pass meets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import nn

from vanishgrad.layers import WeightMatrix


def in_order_of_execution(
    matrices: Sequence[WeightMatrix], entered: Mapping[nn.Module, int]
) -> list[WeightMatrix]:
    """The same matrices with layers numbered in the order in which a pass entered their modules.

    A module that is never called itself, such as the output projection of torch's attention, follows the one
    that was registered before it.
    """
    places: dict[nn.Module, int] = {}
    last = -1
    for matrix in matrices:
        last = places[matrix.module] = entered.get(matrix.module, last)
    numbers = {module: number for number, module in enumerate(sorted(places, key=places.__getitem__), 1)}
    return [replace(matrix, layer=numbers[matrix.module]) for matrix in matrices]
