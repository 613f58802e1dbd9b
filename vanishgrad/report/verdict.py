"""One word for what a run did, from ratios and slopes alone.

The rules, in order:

1. `exploding` or `diverged`: the run diverged; exploding when its gradients grew towards the input or towards
   the first time step, or when numbers overflowed in the initial network, before any step of training.
2. `learns`: where it is known what an answer that ignores the input scores, the error (the loss, or what the
   accuracy lacks to 1) is a quarter or more below that; else the error rate fell by a quarter or more of what
   it was at the first step; without accuracies the loss fell to half. A network that learns is not called
   vanishing, whatever its slope.
3. `vanishing`: across the hidden layers gradients shrink by a factor of 100 or more towards the input, at the
   start or at the end.
4. `exploding`: they grow by that much.
5. `vanishing through time`, `exploding through time`: the same from the last time step to the first.
6. `does not learn`: none of these, and it did not learn.
7. `gradients flow`: none of these, and no loss or accuracy was recorded, or no step was trained.

Nothing here depends on the size of the gradients, and an exact zero is no evidence: a zero-initialised branch
is not vanishing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal[
    "learns",
    "vanishing",
    "exploding",
    "vanishing through time",
    "exploding through time",
    "diverged",
    "does not learn",
    "gradients flow",
]

DECADES = 2.0
ERROR_LEFT = 0.75
LOSS_LEFT = 0.5


@dataclass(frozen=True)
class Evidence:
    """What the verdict looks at; NaN where it was not measured.

    `decades`: by how many the gradients shrink from the last hidden layer to the first, at the start and at
    the end. `accuracy` and `loss`: first and last. `error`: that of an answer that ignores the input, and the
    one reached. `time_decades`: as `decades`, from the last time step to the first. `overflowed`: numbers of
    the initial network were not finite.
    """

    status: str
    decades: Sequence[float] = field(default=())
    accuracy: tuple[float, float] = (float("nan"), float("nan"))
    loss: tuple[float, float] = (float("nan"), float("nan"))
    error: tuple[float, float] = (float("nan"), float("nan"))
    time_decades: Sequence[float] = field(default=())
    overflowed: bool = False


def verdict(evidence: Evidence) -> Verdict:
    """The first rule of this module that applies."""
    if evidence.status == "diverged":
        return _divergence(evidence)
    learned = has_learned(evidence.accuracy, evidence.loss, evidence.error)
    if learned:
        return "learns"
    unlearned: Verdict = "gradients flow" if learned is None else "does not learn"
    return _trend(evidence.decades) or _through_time(evidence.time_decades) or unlearned


def has_learned(
    accuracy: tuple[float, float],
    loss: tuple[float, float],
    error: tuple[float, float] = (float("nan"), float("nan")),
) -> bool | None:
    """Whether training achieved something, see `Evidence`; None when nothing of it was measured."""
    if all(map(isfinite, error)):
        ignorance, left = error
        return left <= ERROR_LEFT * ignorance and left < ignorance
    if all(map(isfinite, accuracy)):
        first, last = accuracy
        return last > first and 1 - last <= ERROR_LEFT * (1 - first)
    if all(map(isfinite, loss)):
        first, last = loss
        return last <= LOSS_LEFT * first
    return None


def _divergence(evidence: Evidence) -> Verdict:
    if evidence.overflowed or _trend(evidence.decades) == "exploding":
        return "exploding"
    through_time = _through_time(evidence.time_decades)
    return through_time if through_time == "exploding through time" else "diverged"


def _through_time(decades: Sequence[float]) -> Verdict | None:
    trend = _trend(decades)
    if trend is None:
        return None
    return "vanishing through time" if trend == "vanishing" else "exploding through time"


def _trend(decades: Sequence[float]) -> Literal["vanishing", "exploding"] | None:
    """The first clear direction; NaN compares false and says nothing."""
    for fall in decades:
        if fall >= DECADES:
            return "vanishing"
        if fall <= -DECADES:
            return "exploding"
    return None
