"""One word for what a run did, from ratios and slopes alone.

The rules, in order:

1. `exploding` or `diverged`: the run diverged; exploding when its gradients grew towards the input.
2. `learns`: the error rate fell by a quarter or more of what it was at the first step (without accuracies:
   the loss fell to half). A network that learns is not called vanishing, whatever its slope.
3. `vanishing`: across the hidden layers gradients shrink by a factor of 100 or more towards the input, at the
   start or at the end.
4. `exploding`: they grow by that much.
5. `does not learn`: none of these, and it did not learn.
6. `gradients flow`: none of these, and no loss or accuracy was recorded, or no step was trained.

Nothing here depends on the size of the gradients, and an exact zero is no evidence: a zero-initialised branch
is not vanishing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal[
    "learns", "vanishing", "exploding", "diverged", "does not learn", "gradients flow"
]

DECADES = 2.0
ERROR_LEFT = 0.75
LOSS_LEFT = 0.5


@dataclass(frozen=True)
class Evidence:
    """What the verdict looks at; NaN where it was not measured.

    `decades`: by how many the gradients shrink from the last hidden layer to the first, at the start and at
    the end.
    """

    status: str
    decades: Sequence[float] = field(default=())
    accuracy: tuple[float, float] = (float("nan"), float("nan"))
    loss: tuple[float, float] = (float("nan"), float("nan"))


def verdict(evidence: Evidence) -> Verdict:
    """The first rule of this module that applies."""
    trend = _trend(evidence.decades)
    if evidence.status == "diverged":
        return "exploding" if trend == "exploding" else "diverged"
    learned = has_learned(evidence.accuracy, evidence.loss)
    if learned:
        return "learns"
    if trend is not None:
        return trend
    return "gradients flow" if learned is None else "does not learn"


def has_learned(accuracy: tuple[float, float], loss: tuple[float, float]) -> bool | None:
    """Whether training achieved something between (first, last); None when neither pair was measured."""
    if all(map(isfinite, accuracy)):
        first, last = accuracy
        return last > first and 1 - last <= ERROR_LEFT * (1 - first)
    if all(map(isfinite, loss)):
        first, last = loss
        return last <= LOSS_LEFT * first
    return None


def _trend(decades: Sequence[float]) -> Literal["vanishing", "exploding"] | None:
    """The first clear direction; NaN compares false and says nothing."""
    for fall in decades:
        if fall >= DECADES:
            return "vanishing"
        if fall <= -DECADES:
            return "exploding"
    return None
