"""Successive halving: many are tried for a short time, the better ones for longer.

Jamieson and Talwalkar (2016), Non-stochastic best arm identification and hyperparameter optimization. Every
round begins anew: a short run is a whole one, with its own warm-up and schedule, and not the beginning of a
longer run; what a round says is exact for so many steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from vanishgrad.errors import at_least

LEAST_STEPS = 10  # of a round: with fewer nothing is seen

T = TypeVar("T")
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Round:
    """A round of trials.

    Arguments:
        steps: of every run.
        kept: how many go on to the next round at the most; 0 in the last.
    """

    steps: int
    kept: int = 0


@dataclass(frozen=True)
class Tried(Generic[T]):
    """What was tried in its last round.

    Arguments:
        candidate: what was tried.
        result: what came of it.
        round: the number of that round, from 1.
    """

    candidate: T
    result: Any
    round: int


def rounds(budget: int, kept: Sequence[int]) -> tuple[Round, ...]:
    """Rounds that double up to `budget` steps; after all but the last, so many candidates are `kept`.

    A budget too small for short rounds has fewer of them.
    """
    at_least("cure.budget", budget, 1)
    lengths = [budget // 2 ** (len(kept) - place) for place in range(len(kept))]
    short = [Round(steps, most) for steps, most in zip(lengths, kept, strict=True) if steps >= LEAST_STEPS]
    return (*short, Round(budget))


def halve(
    candidates: Sequence[T],
    plan: Sequence[Round],
    trial: Callable[[Sequence[T], Round], Sequence[Any]],
    key: Callable[[T, Any], Key],
    grow: Callable[[Sequence[T]], Sequence[T]] = lambda ranked: (),
) -> list[Tried[T]]:
    """Try candidates round by round; all that were tried, those of the last round first, each with its best.

    Arguments:
        candidates: of the first round.
        plan: the rounds.
        trial: gives a result for each of the candidates, after so many steps.
        key: the larger, the better.
        grow: new candidates for the second round, given those of the first, the best first.
    """
    field, left = list(candidates), list[Tried[T]]()
    for number, stage in enumerate(plan, 1):
        tried = [Tried(one, result, number) for one, result in zip(field, trial(field, stage), strict=True)]
        tried.sort(key=lambda one: key(one.candidate, one.result), reverse=True)
        if number == len(plan):
            return [*tried, *left]
        ranked = [one.candidate for one in tried]
        field = ranked[: stage.kept]
        left = [*tried[stage.kept :], *left]
        if number == 1:
            field += [one for one in grow(ranked) if one not in ranked]
    return left
