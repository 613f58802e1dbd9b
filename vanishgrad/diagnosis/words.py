"""Numbers in the sentences of findings."""

from __future__ import annotations

from collections.abc import Sequence


def factor(decades: float) -> str:
    """`4.3 x` for 0.63 decades."""
    return f"{10 ** abs(decades):.3g} x"


def small(part: float) -> str:
    """A fraction in percent, `0.0012 %`, or `nothing`."""
    return "nothing" if part == 0 else f"{100 * part:.2g} %"


def count(number: int, noun: str) -> str:
    """`1 step`, `400 steps`."""
    return f"{number} {noun}" + ("" if number == 1 else "s")


def layers(numbers: Sequence[int]) -> str:
    """`layer 3`, `layers 1 to 4`, `layers 1, 2 and 5`."""
    if not numbers:
        return "no layer"
    if len(numbers) == 1:
        return f"layer {numbers[0]}"
    if list(numbers) == list(range(numbers[0], numbers[-1] + 1)) and len(numbers) > 2:
        return f"layers {numbers[0]} to {numbers[-1]}"
    if len(numbers) > 6:
        return f"{len(numbers)} layers from {numbers[0]} to {numbers[-1]}"
    return f"layers {', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
