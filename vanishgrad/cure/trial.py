"""Trials: treatments trained over seeds, all of a round together."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vanishgrad.cure.course import LOST, Course, Yardstick, course
from vanishgrad.cure.halving import Key, Round
from vanishgrad.cure.override_text import kept
from vanishgrad.cure.treatment import Treatment
from vanishgrad.description import describe
from vanishgrad.records import CHECKPOINT_FILE
from vanishgrad.run import Run
from vanishgrad.sweep.job import Job, Outcome
from vanishgrad.training import Provenance

LOOKS = 12  # evaluations of a run of the last round, as many as steps to a threshold need
EARLIER_LOOKS = 1  # of an earlier round: it ranks by the end
LOGGED = 50  # rows of a run at the most, per layer
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
