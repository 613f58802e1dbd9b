"""The diagnosis of a trial: those of its runs, one for each seed, taken together."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import pandas as pd
import torch
from torch import Tensor

from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.cures.candidates import Treatment
from vanishgrad.description import describe, kept
from vanishgrad.diagnosis import Diagnosis, Finding, diagnose
from vanishgrad.diagnosis.layers import by_layer, gradient_slope, log_slope, root_sum_square
from vanishgrad.diagnosis.record import ERROR_LEFT
from vanishgrad.engine import Provenance
from vanishgrad.errors import at_least
from vanishgrad.records import (
    CHECKPOINT_FILE,
    TIME_GRADIENTS_FILE,
    UnreadableRun,
    read_extra,
    read_gradients,
    read_metrics,
)
from vanishgrad.run import Run
from vanishgrad.sweeps.job import Job, Outcome


def diagnosed(trial: Trial) -> Diagnosis:
    """What is wrong in the runs of a trial."""
    return pooled_diagnosis([one for one in map(_diagnosed, trial.courses) if one is not None])


def _diagnosed(one: Course) -> Diagnosis | None:
    try:
        return diagnose(one.folder)
    except UnreadableRun:
        return None


def pooled_diagnosis(diagnoses: Sequence[Diagnosis]) -> Diagnosis:
    """All that was found, each pathology once, in its worst form; the one found in most runs first.

    It learned if it did so in all runs.
    """
    by_place: dict[tuple[str, str], list[Finding]] = {}
    for diagnosis in diagnoses:
        for finding in diagnosis.findings:
            by_place.setdefault((finding.finding, finding.where), []).append(finding)
    worst = [max(alike, key=lambda one: one.severity) for alike in by_place.values()]
    weight = {
        (one.finding, one.where): sum(alike.severity for alike in by_place[one.finding, one.where])
        for one in worst
    }
    worst.sort(key=lambda one: -weight[one.finding, one.where])
    learned = [one.learned for one in diagnoses if one.learned is not None]
    return Diagnosis(tuple(worst), all(learned) if learned else None)


LOST = -1.0  # the gain of a run that diverged or failed
LEARNED = 1 - ERROR_LEFT  # of the ignorant answer's error that is gone: what a diagnosis calls learning


@dataclass(frozen=True)
class Yardstick:
    """What a run's error is held against: that of an answer that ignores the input.

    The gain of a run is the share of that error which is gone: 0 for ignorance, 1 for no error at all.

    Arguments:
        metric: val_accuracy or val_loss.
        error: of the ignorant answer: 1 - accuracy, or the loss.
    """

    metric: str
    error: float

    def gain(self, accuracy: float, loss: float) -> float:
        """Of an accuracy and a loss, one of which is looked at."""
        value = 1 - accuracy if self.metric == "val_accuracy" else loss
        if not math.isfinite(value) or self.error <= 0:
            return LOST
        return max(LOST, 1 - value / self.error)


def yardstick(run: Run, data: Dataset) -> Yardstick:
    """Of a setting: the published baseline, else the most frequent class, or the mean of values."""
    baseline, loss = run.data.baseline, run.criterion
    if baseline is not None and baseline.metric == "val_accuracy":
        return Yardstick(baseline.metric, 1 - baseline.value)
    if baseline is not None and loss.name == run.data.default_loss:
        return Yardstick(baseline.metric, baseline.value)
    if data.val_y.is_floating_point():
        return Yardstick("val_loss", float(loss(_constant(run, data), data.val_y)))
    frequent = torch.bincount(data.val_y.flatten()).max() / data.val_y.numel()
    return Yardstick("val_accuracy", 1 - float(frequent))


def _constant(run: Run, data: Dataset) -> Tensor:
    """The mean of the training targets as the answer to every held-out example."""
    mean = data.train_y.mean(0, keepdim=True).expand_as(data.val_y)
    return run.criterion.outputs(mean)


@dataclass(frozen=True)
class Course:
    """A run of a treatment.

    Arguments:
        status: how it ended.
        steps: at which it was evaluated.
        accuracy, loss: on the held-out data at those steps; NaN where there is none.
        slope: of the first gradients, in decades per layer; of a recurrent network per time step.
        folder: of the run.
    """

    status: str
    steps: tuple[int, ...]
    accuracy: tuple[float, ...]
    loss: tuple[float, ...]
    slope: float
    folder: Path

    def gain(self, yard: Yardstick) -> float:
        """Of the trained network; of one that diverged or failed, all is lost."""
        if self.status != "completed" or not self.steps:
            return LOST
        return yard.gain(self.accuracy[-1], self.loss[-1])

    def learned(self, yard: Yardstick) -> bool:
        return self.gain(yard) >= LEARNED

    def reached(self, yard: Yardstick, threshold: float) -> int | None:
        """The first step that was evaluated with a gain of `threshold`; None where there is none."""
        gains = (yard.gain(a, b) for a, b in zip(self.accuracy, self.loss, strict=True))
        return next((step for step, gain in zip(self.steps, gains, strict=True) if gain >= threshold), None)


def course(folder: Path, outcome: Outcome | None) -> Course:
    """A run as its folder and its outcome have it."""
    status = "failed" if outcome is None else outcome.status
    try:
        rows = read_metrics(folder, ("step", "val_loss", "val_accuracy")).dropna(subset="val_loss")
        slope = _slope(folder, {} if outcome is None else outcome.metrics)
    except UnreadableRun:
        return Course("failed", (), (), (), math.nan, folder)
    steps, accuracy, loss = (rows[name].tolist() for name in ("step", "val_accuracy", "val_loss"))
    return Course(status, tuple(steps), tuple(accuracy), tuple(loss), slope, folder)


def _slope(folder: Path, numbers: Mapping[str, float | None]) -> float:
    """Through time where there is time, else over the layers, at the first step that has one."""
    rows = read_extra(folder, TIME_GRADIENTS_FILE, ("step", "t", "grad_norm"))
    start = rows[rows["step"] == rows["step"].min()]
    if len(start):
        norms = root_sum_square(start["grad_norm"], [start["t"]])
        return log_slope(norms.index, norms)
    slope = numbers.get("gradient_slope")
    if slope is not None and math.isfinite(slope):
        return slope
    return _first_slope(by_layer(read_gradients(folder)))


def _first_slope(rows: pd.DataFrame) -> float:
    """What is zero by construction at step 0, as in a block that starts as the identity, does not stay so."""
    slopes = (gradient_slope(at["layer"], at["delta_norm"]) for _, at in rows.groupby("step"))
    return next((slope for slope in slopes if math.isfinite(slope)), math.nan)


LOOKS = 12  # evaluations of a run of the last round, as many as steps to a threshold need
EARLIER_LOOKS = 1  # of an earlier round: it ranks by the end
LOGGED = 50  # rows of a run at most, per layer
EARLIER_LOGGED = 5
PERCENT = 2  # digits: what differs by less is a tie in a round

Train = Callable[[Sequence[Job]], Mapping[int, Outcome]]


@dataclass(frozen=True)
class Trial:
    """What came of a treatment in a round.

    Arguments:
        steps: of every run.
        courses: one per seed.
        gains: of each, the share of the ignorant answer's error that is gone.
        learned: of how many seeds it learned.
    """

    steps: int
    courses: tuple[Course, ...]
    gains: tuple[float, ...]
    learned: int

    @property
    def gain(self) -> float:
        """Mean over the seeds."""
        return statistics.fmean(self.gains)

    @property
    def loss(self) -> float:
        """The mean loss at the end; infinite where a run was lost."""
        lost = any(gain == LOST for gain in self.gains)
        return float("inf") if lost else statistics.fmean(one.loss[-1] for one in self.courses)

    @property
    def key(self) -> Key:
        """By which a round ranks, in hundredths: what differs by less is as good."""
        return round(self.gain, PERCENT), -round(self.loss, PERCENT)


@dataclass
class Trials:
    """Trains treatments in numbered run folders.

    Arguments:
        folder: of all the trials.
        seeds: of every treatment.
        total: updates of the whole setting, which a round's runs are a smaller copy of.
        yard: what a run is held against.
        train: trains jobs and tells how each ended.
        typed: the overrides of the setting.
    """

    folder: Path
    seeds: Sequence[int]
    total: int
    yard: Yardstick
    train: Train
    typed: Sequence[str] = ()
    jobs: list[Job] = field(default_factory=list)

    def __call__(self, treatments: Sequence[Treatment], stage: Round) -> list[Trial]:
        """Train every treatment for every seed."""
        asked = [(one, seed) for one in treatments for seed in self.seeds]
        first = len(self.jobs)
        new = [self._job(number, one, stage, seed) for number, (one, seed) in enumerate(asked, first)]
        self.jobs += new
        ended = self.train(new)
        courses = [course(job.folder, ended.get(job.number)) for job in new]
        for job in new:
            (job.folder / CHECKPOINT_FILE).unlink(missing_ok=True)  # a trial's weights are of no use
        size = len(self.seeds)
        return [self._trial(stage, courses[place : place + size]) for place in range(0, len(courses), size)]

    def _trial(self, stage: Round, courses: Sequence[Course]) -> Trial:
        return Trial(
            stage.steps, tuple(courses), tuple(one.gain(self.yard) for one in courses),
            sum(one.learned(self.yard) for one in courses),
        )  # fmt: skip

    def _job(self, number: int, one: Treatment, stage: Round, seed: int) -> Job:
        typed = [*kept(self.typed, one.overrides), *one.overrides]
        overrides = [*kept(typed, ("max_steps=", "seed=")), f"max_steps={stage.steps}", f"seed={seed}"]
        run = small_copy(one.run, stage, self.total, seed)
        provenance = Provenance(describe(run) | {"remedy": {"name": "none"}}, {}, overrides)
        return Job(number, run, self.folder / str(number), provenance, f"{one.label} seed={seed}")


def small_copy(run: Run, stage: Round, total: int, seed: int) -> Run:
    """`run`, shortened from `total` updates to a round's: its warm-up takes the same share of them."""
    steps = stage.steps
    looks, logged = (EARLIER_LOOKS, EARLIER_LOGGED) if stage.kept else (LOOKS, LOGGED)
    return replace(
        run, seed=seed, max_steps=steps, warmup=round(run.warmup * steps / max(1, total)),
        eval_every=max(1, steps // looks), log_every=max(run.log_every, steps // logged),
        save_every=0, snapshots=0, input_gradients=0,
    )  # fmt: skip


LEAST_STEPS = 10  # of a round: with fewer nothing is seen

T = TypeVar("T")
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Round:
    """A round of trials.

    Arguments:
        steps: of every run.
        kept: how many go on to the next round at most; 0 in the last.
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
