"""Which treatment is best: does it learn, what does it reach, how fast, at what cost, with what gradients."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vanishgrad.cures.candidates import Treatment
from vanishgrad.cures.trial import Key, Trial, Yardstick

AS_GOOD = 0.01  # a gain that is less than this below the best one is as good: a point of accuracy, about
SHARE = 0.9  # of the best gain: how fast a run gets there is its speed

COLUMNS = (
    "rank", "overrides", "cures", "round", "steps", "seeds", "learned", "accuracy_mean", "accuracy_spread",
    "loss_mean", "loss_spread", "gain", "steps_to_90", "cost_per_step", "gradient_slope", "diverged",
    "advised", "reason",
)  # fmt: skip


@dataclass(frozen=True)
class Standing:
    """A treatment with all that is known of it.

    Arguments:
        treatment: what was tried.
        trial: its last one.
        round: in which that was, from 1.
        cost: seconds per step, divided by the untreated one's; None where it was not measured.
        speed: steps to 90 % of the best gain, the median over seeds; None where most do not get there.
        cures: whether it learns with every seed, and more than the untreated setting does.
    """

    treatment: Treatment
    trial: Trial
    round: int
    cost: float | None = None
    speed: float | None = None
    cures: bool = False

    @property
    def accuracy(self) -> tuple[float, float]:
        """Mean and sample standard deviation of the final accuracies; NaN where there are none."""
        return mean_and_spread([one.accuracy[-1] for one in self.trial.courses if one.accuracy])

    @property
    def loss(self) -> tuple[float, float]:
        return mean_and_spread([one.loss[-1] for one in self.trial.courses if one.loss])

    @property
    def slope(self) -> float:
        """Of the initial network's gradients, the mean over seeds."""
        return mean_and_spread([one.slope for one in self.trial.courses])[0]


def mean_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample standard deviation of the finite values; NaN where there are too few."""
    finite = [value for value in values if math.isfinite(value)]
    mean = statistics.fmean(finite) if finite else math.nan
    return mean, statistics.stdev(finite) if len(finite) > 1 else math.nan


def speed(trial: Trial, yard: Yardstick, best: float) -> float | None:
    """Steps to 90 % of the `best` gain: the median over seeds, of which most must get there."""
    reached = [one.reached(yard, SHARE * best) for one in trial.courses if one.status == "completed"]
    steps = sorted(math.inf if step is None else step for step in reached)
    steps += [math.inf] * (len(trial.courses) - len(steps))
    middle = statistics.median(steps)
    return middle if math.isfinite(middle) else None


def cures(trial: Trial, untreated: Trial) -> bool:
    """Whether a treatment learns with every seed, and is better than no treatment by more than chance is."""
    return trial.learned == len(trial.courses) and trial.gain > untreated.gain + AS_GOOD


def ranked(standings: Sequence[Standing], last: int) -> list[Standing]:
    """The best first.

    Treatments that cure and are as good as the best one come first, the one that changes the least before
    the others, then the quicker and the cheaper one, then the flatter gradients. All others follow by the
    round that they came to, and what they reached in it.

    Arguments:
        standings: of all treatments.
        last: the number of the last round; only its trials are as long as each other.
    """
    final = [one.trial.gain for one in standings if one.cures and one.round == last]
    bar = max(final, default=math.inf) - AS_GOOD

    def key(one: Standing) -> Key:
        best = one.cures and one.round == last and one.trial.gain >= bar
        if best:
            return (0, *preference(one))
        return (1, -one.round, not one.cures, -one.trial.gain, one.trial.loss)

    return sorted(standings, key=key)


def preference(one: Standing) -> Key:
    """Among equally good treatments: the fewest things to change, the speed, the cost, the slope."""
    cost, slope = one.cost or math.inf, abs(one.slope)
    return (
        len(one.treatment.overrides),
        math.inf if one.speed is None else one.speed * (1 if math.isinf(cost) else cost),
        slope if math.isfinite(slope) else math.inf,
    )  # fmt: skip


def row(one: Standing, rank: int | None) -> dict[str, Any]:
    """A treatment with its figures: a row of cure.csv. What is not known is None."""
    courses = one.trial.courses
    (accuracy, accuracy_spread), (loss, loss_spread) = one.accuracy, one.loss
    values = (
        rank, " ".join(one.treatment.overrides), one.cures, one.round, one.trial.steps, len(courses),
        one.trial.learned, _finite(accuracy), _finite(accuracy_spread), _finite(loss), _finite(loss_spread),
        one.trial.gain, one.speed, one.cost, _finite(one.slope),
        sum(run.status == "diverged" for run in courses), one.treatment.advised, one.treatment.reason,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def runs_of(one: Standing, folder: Path) -> dict[str, list[str]]:
    """The run folders of a treatment's last trial."""
    return {"runs": [run.folder.relative_to(folder).as_posix() for run in one.trial.courses]}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
