"""Looking for a cure: diagnosis, rounds of trials, what the best treatments cost, a ranking."""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.cures.candidates import (
    Candidates,
    Check,
    LeftOut,
    Treatment,
    best_of_each_kind,
    candidates,
    pairs,
)
from vanishgrad.cures.ranking import COLUMNS, Standing, cures, ranked, row, runs_of, speed
from vanishgrad.cures.trial import (
    Key,
    Round,
    Train,
    Trial,
    Trials,
    Tried,
    diagnosed,
    halve,
    rounds,
    yardstick,
)
from vanishgrad.diagnosis import Diagnosis
from vanishgrad.diagnosis.finding import SLOWS
from vanishgrad.engine import Progress, check, train
from vanishgrad.engine.plan import batch_size_of, steps_of
from vanishgrad.engine.prepare import device_of
from vanishgrad.engine.pretrain import LayerEpoch
from vanishgrad.errors import at_least, instance_of, require
from vanishgrad.folders import existing_folder, is_empty, new_folder
from vanishgrad.records import SWEEP_FILE
from vanishgrad.run import Run
from vanishgrad.sweeps.pool import Workers
from vanishgrad.sweeps.sweep import Sweep, workers_of

MOST_STEPS = 1000  # of a trial, where nothing is said


def cure(
    run: Run,
    out: Path | str | None = None,
    *,
    budget: int | None = None,
    seeds: int = 3,
    pairs: bool = True,
    workers: int | Workers | None = None,
    tell: Tell = lambda stage: None,
    train: Train | None = None,
    typed: Sequence[str] = (),
) -> Cure:
    """Diagnose a failing setting, try the remedies that fit, alone and in pairs, and rank them.

    With `out`, the same call goes on with a search that was stopped: trials that have ended are not trained
    again.

    Arguments:
        run: the failing setting.
        out: the folder for the run folders of all trials; None keeps none of them.
        budget: steps of a trial in the last round; None for those of `run`, at most 1000.
        seeds: of every treatment.
        pairs: whether pairs of treatments are tried too.
        workers: processes; None for one per GPU, or per core where there is none; 1 is this process.
        tell: called with the `Stage` that begins.
        train: trains jobs and tells how each ended; the default is a `Sweep` in the folder.
        typed: the overrides of `run`, where it was typed.

    Raises:
        SettingError: for what is no run, cannot be trained here or is not trained at all.

    Example:
        >>> from vanishgrad import Run, cure
        >>> cured = cure(Run(depth=1, width=8, max_steps=150, threads=1), seeds=1, workers=1)
        >>> cured.healthy, cured.best
        (True, None)
    """
    instance_of("cure", run, Run, "a Run, such as Run(depth=30, act='sigmoid')")
    total = trained_steps(run)
    at_least("seeds", seeds, 1)
    with _folder(out) as (folder, resumed):
        trials = Trials(
            folder, [run.seed + number for number in range(seeds)], total, yardstick(run, check(run)),
            train or _trainer(Sweep(folder, resumed, key="out"), workers_of(workers)), typed,
        )  # fmt: skip
        plan = SearchPlan(trial_steps(total, budget), pairs)
        return find_cure(run, trials, plan, diagnosed, check, tell)


def trained_steps(run: Run) -> int:
    """Updates that `run` is trained for.

    Raises:
        SettingError: when there are none, or this machine cannot train it.
    """
    total, _ = steps_of(run, len(check(run).train_x))
    require(
        total > 0, f"epochs={run.epochs}: a setting that is not trained has nothing to cure; give it steps"
    )
    return total


def trial_steps(total: int, budget: int | None) -> int:
    """Of a trial in the last round, for a setting that trains for `total` steps."""
    return min(total, MOST_STEPS if budget is None else budget)


@contextmanager
def _folder(out: Path | str | None) -> Iterator[tuple[Path, bool]]:
    """A folder for the trials, and whether there are trials in it."""
    if out is None:
        with TemporaryDirectory() as name:
            yield Path(name), False
        return
    folder = Path(out)
    resumed = os.path.exists(folder / SWEEP_FILE)  # False for names that a path cannot have
    claim = existing_folder("out", folder, whole=True) if resumed else new_folder("out", folder, "sweep")
    with claim:
        require(resumed or is_empty(folder), f"out={out}: there is something in it; name a new folder")
        yield folder.absolute(), resumed


def _trainer(trials: Sweep, workers: Workers) -> Train:
    """Trains the jobs of each round as a batch of one sweep."""
    return lambda jobs: trials.train(trials.add(jobs), workers)


STEPS = 12  # of a turn; the first ones warm up
WARM = 3
TURNS = 2
NEVER = 10**9


def relative_costs(untreated: Run, treated: Sequence[Run], total: int) -> list[float | None]:
    """Seconds per step of each of the runs `treated`, divided by the untreated one's.

    All take turns, each run alone, unmeasured; of the turns the quickest counts. Pretraining is shared out
    over the `total` steps that follow it. On a CPU they are seconds of the processor, which others that keep
    it busy do not change. None where the clock is too coarse for a step.
    """
    runs = [untreated, *treated]
    turns = [[seconds_per_step(run, total) for run in runs] for _ in range(TURNS)]
    first, *others = (min(times) for times in zip(*turns, strict=True))
    return [one / first if first > 0 else None for one in others]


def seconds_per_step(run: Run, total: int) -> float:
    """The median step of a short run, with its share of the pretraining."""
    clock = time.process_time if device_of(run).type == "cpu" else time.perf_counter
    steps: list[float] = []
    pretraining: list[float] = [clock()]

    def observe(state: Progress | LayerEpoch) -> None:
        (steps if isinstance(state, Progress) else pretraining).append(clock())

    train(
        replace(run, max_steps=STEPS, warmup=0, epochs=NEVER, log_every=NEVER, eval_every=NEVER, save_every=0,
                snapshots=0, dead_every=0, input_gradients=0),
        observe=observe,
    )  # fmt: skip
    taken = [late - early for early, late in pairwise(steps)]
    once = pretraining[-1] - pretraining[0] if len(pretraining) > 1 else 0.0
    return statistics.median(taken[WARM:] or taken or [math.nan]) + once / max(1, total)


KEPT = (6, 4)  # treatments that go on after each round
ADVISED_PAIRS = 4  # that begin in the first round
OF_A_KIND = 2  # of each kind of treatment, the best are paired after the first round
GROWN_PAIRS = 6
MOST_PRETRAINING = 3  # updates of a layer for every step of a trial

Load = Callable[[Run], Dataset]
Diagnose = Callable[[Trial], Diagnosis]
Costs = Callable[[Run, Sequence[Run], int], Sequence[float | None]]
Tell = Callable[["Stage"], None]


@dataclass(frozen=True)
class SearchPlan:
    """How a cure is looked for.

    Arguments:
        budget: steps of a run in the last round.
        pairs: whether pairs of treatments are tried too.
    """

    budget: int
    pairs: bool = True

    @property
    def rounds(self) -> tuple[Round, ...]:
        return rounds(self.budget, KEPT)


@dataclass(frozen=True)
class Stage:
    """What begins now: so many treatments for so many steps, as round `number` of `of`; 0 is no treatment."""

    number: int
    of: int
    treatments: int
    steps: int


@dataclass(frozen=True)
class Cure:
    """What came of the search for a cure.

    Arguments:
        diagnosis: of the untreated setting.
        untreated: how it did.
        standings: of all treatments, the best first; none where there was nothing to cure.
        left_out: what was not tried, and why.
        rounds: that there were.
    """

    diagnosis: Diagnosis
    untreated: Standing
    standings: tuple[Standing, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    rounds: tuple[Round, ...] = ()

    @property
    def healthy(self) -> bool:
        return is_healthy(self.diagnosis, self.untreated.trial)

    @property
    def winner(self) -> Standing | None:
        """The best treatment, if it cures."""
        return next((one for one in self.standings[:1] if one.cures), None)

    @property
    def runner_up(self) -> Standing | None:
        """The second best, if it cures too."""
        return next((one for one in self.standings[1:2] if one.cures), None)

    @property
    def best(self) -> Run | None:
        """The setting with the treatment that cures best, to be trained; None where nothing cures."""
        return None if self.winner is None else self.winner.treatment.run

    @cached_property
    def ranking(self) -> pd.DataFrame:
        """All treatments, the best first, then the untreated setting, which has no rank: cure.csv."""
        return pd.DataFrame(self.rows, columns=list(COLUMNS))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of `ranking`; what is not known is None."""
        standings = [row(one, rank) for rank, one in enumerate(self.standings, 1)]
        return [*standings, row(self.untreated, None)]

    def plain(self, folder: Path) -> dict[str, Any]:
        """The content of cure.json, without the commands to type.

        Arguments:
            folder: of the trials, which run folders are named in.
        """
        return {
            "verdict": self.diagnosis.verdict,
            "healthy": self.healthy,
            "diagnosis": self.diagnosis.plain(),
            "rounds": [{"steps": one.steps, "kept": one.kept} for one in self.rounds],
            "untreated": row(self.untreated, None) | runs_of(self.untreated, folder),
            "treatments": [
                row(one, rank) | runs_of(one, folder) for rank, one in enumerate(self.standings, 1)
            ],
            "left_out": [one._asdict() for one in self.left_out],
        }


def is_healthy(diagnosis: Diagnosis, trial: Trial) -> bool:
    """Whether there is nothing to cure: it learns with every seed, and nothing is found that slows it."""
    serious = any(finding.severity >= SLOWS for finding in diagnosis.findings)
    return trial.learned == len(trial.courses) and not serious


def find_cure(
    run: Run, trials: Trials, plan: SearchPlan, diagnose: Diagnose, check: Load,
    tell: Tell = lambda stage: None,
    costs: Costs = relative_costs,
) -> Cure:  # fmt: skip
    """Diagnose `run`, try what may help, and rank it.

    Arguments:
        run: the failing setting.
        trials: trains treatments.
        plan: how long, and with what.
        diagnose: gives the diagnosis of the untreated setting's trial.
        check: gives the data of a run; raises a `SettingError` for one that this machine cannot train.
        tell: called when a round begins.
        costs: measures the time of steps.
    """
    tell(Stage(0, len(plan.rounds), 1, plan.budget))
    (alone,) = trials([Treatment(run)], Round(plan.budget))
    untreated = Standing(Treatment(run), alone, len(plan.rounds), cost=1.0)
    diagnosis = diagnose(alone)
    if is_healthy(diagnosis, alone):
        return Cure(diagnosis, untreated, rounds=plan.rounds)

    def allowed(after: Run) -> None:
        _check_pretraining(after, len(check(after).train_x), plan.budget)

    tried = candidates(run, diagnosis, allowed, ADVISED_PAIRS if plan.pairs else 0)
    results = _Search(run, trials, plan, allowed, tell).of(tried)
    standings = _standings(untreated, results, trials, costs)
    best = max([one.trial.gain for one in standings if one.round == len(plan.rounds)], default=alone.gain)
    untreated = replace(untreated, speed=speed(alone, trials.yard, best))
    return Cure(diagnosis, untreated, tuple(ranked(standings, len(plan.rounds))), tried.left_out, plan.rounds)


def _check_pretraining(run: Run, examples: int, budget: int) -> None:
    """Refuse pretraining that takes much longer than all that comes after it."""
    if not run.pretrain.pretrains:
        return
    updates = run.depth * run.pretrain.epochs * (examples // batch_size_of(run, examples))
    require(
        updates <= MOST_PRETRAINING * budget,
        f"its {updates} updates of single layers are more than {MOST_PRETRAINING} times the {budget} that a "
        f"trial has; pretrain.epochs says how many there are",
    )


@dataclass
class _Search:
    """The rounds, in which ties are broken by the order in which treatments were thought of."""

    run: Run
    trials: Trials
    plan: SearchPlan
    check: Check
    tell: Tell

    def of(self, tried: Candidates) -> list[Tried[Treatment]]:
        """All treatments with their last trials, those of the last round first."""
        order: dict[Treatment, int] = {}

        def key(one: Treatment, result: Any) -> Key:
            return (*result.key, -order.setdefault(one, len(order)))

        def trial(some: Sequence[Treatment], stage: Round) -> list[Trial]:
            for one in some:
                order.setdefault(one, len(order))
            number = self.plan.rounds.index(stage) + 1
            self.tell(Stage(number, len(self.plan.rounds), len(some), stage.steps))
            return self.trials(some, stage)

        return halve(tried.all, self.plan.rounds, trial, key, self._grown)

    def _grown(self, best_first: Sequence[Treatment]) -> list[Treatment]:
        """Pairs of the treatments that were best alone."""
        if not self.plan.pairs:
            return []
        partners = best_of_each_kind(self.run, best_first, OF_A_KIND)
        tried_before = {one.run for one in best_first}
        grown = pairs(self.run, partners, self.check, GROWN_PAIRS + len(tried_before))
        return [one for one in grown if one.run not in tried_before][:GROWN_PAIRS]


def _standings(
    untreated: Standing, results: Sequence[Tried[Treatment]], trials: Trials, costs: Costs
) -> list[Standing]:
    """All that was tried, with speed and cost of what came to the last round."""
    last = untreated.round
    final = [one for one in results if one.round == last]
    best = max((one.result.gain for one in final), default=0.0)
    measured = costs(untreated.treatment.run, [one.candidate.run for one in final], trials.total)
    cost = dict(zip((one.candidate for one in final), measured, strict=True))
    return [
        Standing(
            one.candidate, one.result, one.round, cost.get(one.candidate),
            speed(one.result, trials.yard, best), cures(one.result, untreated.trial),
        )
        for one in results
    ]  # fmt: skip
