"""Many runs, trained together and recorded, so that a sweep that was stopped can go on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

import torch

from vanishgrad.description import describe
from vanishgrad.diagnosis.describe import flow
from vanishgrad.diagnosis.layers import measured
from vanishgrad.engine import Result, check
from vanishgrad.engine.run_folder import load_result, lost_result
from vanishgrad.errors import SettingError, at_least, require, short
from vanishgrad.folders import (
    acting_for,
    clear_run,
    granted,
    is_empty,
    is_sweep,
    new_folder,
)
from vanishgrad.interruption import interruptible
from vanishgrad.records import GRADIENTS_FILE, RUN_FILE, UnreadableRun, flatten, read_gradients
from vanishgrad.rows import Columns
from vanishgrad.run import Run, identity, is_integer
from vanishgrad.sweeps.job import Job, Outcome, refuse_twice
from vanishgrad.sweeps.ledger import Follower, Teller, begin, extend, outcomes
from vanishgrad.sweeps.places import make_room, refuse_shared
from vanishgrad.sweeps.pool import GroupFailure, Place, Workers, each, worker_count
from vanishgrad.sweeps.resumption import fail, interrupt, reopen, told_by_folder
from vanishgrad.sweeps.work import JobGroup, grouped, train_group

if TYPE_CHECKING:
    import pandas as pd

Tell = Callable[[Outcome], None]


def sweep(
    runs: Iterable[Run],
    out: Path | str | None = None,
    *,
    overwrite: bool = False,
    workers: int | Workers | None = None,
    max_stack: int | None = None,
    retry: str | None = None,
    fail_fast: bool = False,
    tell: Tell | None = None,
) -> list[Result]:
    """Train many runs: those of one structure as stacks, the stacks on all cores.

    All of them are checked before the first one begins. With `out`, the same call goes on with what is
    missing in that folder, and gives all results. A run that diverges has a result like any other; one that
    fails has the status `failed` and an `error`, and does not keep the others from running.

    Arguments:
        runs: the settings.
        out: the folder of the sweep, with a run folder for each, `0`, `1`, ...; None keeps the results in
            memory, with the nine digits of the tables.
        overwrite: whether a sweep that is in `out` already goes, in place of going on with it.
        workers: processes; None for one per GPU, or per core where there is none; 1 is this process.
        max_stack: runs in a stack at most; None leaves it to the size of the network.
        retry: "failed" or "diverged": what is done again in `out`, next to what is missing.
        fail_fast: begin no more runs once one has failed.
        tell: called with every `Outcome` as it becomes known.

    Returns:
        A result per run, in the order of `runs`.

    Raises:
        SettingError: for what is no run or cannot be trained here, for a run that is there twice, and where
            `out` holds other runs, is being written by another process or cannot be written.

    Example:
        >>> from vanishgrad import Run, sweep
        >>> runs = [Run(depth=2, act=act, max_steps=5, threads=1) for act in ("sigmoid", "relu")]
        >>> [(result.run.act.name, result.steps) for result in sweep(runs, workers=1)]
        [('sigmoid', 5), ('relu', 5)]
    """
    settings = _checked(runs)
    refuse_twice([identity(run) for run in settings], [""] * len(settings))
    require(retry is None or out is not None, f"retry={retry}: is for a sweep in a folder; give out=DIR too")
    require(not overwrite or retry is None, f"retry={retry}: goes on with a sweep, overwrite=True does not")
    if max_stack is not None:
        at_least("max_stack", max_stack, 1)
    with ExitStack() as stack:
        kept = None if out is None else Path(out)
        folder = Path(stack.enter_context(TemporaryDirectory())) if kept is None else kept.absolute()
        if kept is not None:
            stack.enter_context(_folder(kept))
        resumed = is_sweep(folder) and not overwrite
        jobs = numbered_jobs(settings, folder)
        trained = Sweep(folder, resumed, max_stack, retry, fail_fast, key="out", overwrite=overwrite)
        ended = trained.train(trained.add(jobs), workers_of(workers), _Telling(tell))
        results = [_result(job, ended.get(job.number), in_memory=kept is None) for job in jobs]
    _warn_of_failures(results)
    return results


def _checked(runs: Iterable[Run]) -> list[Run]:
    """The runs as a list, each of which this machine can train."""
    rule = "a list of Run, such as [Run(depth=20, act=act) for act in ('sigmoid', 'relu')]"
    several = hasattr(runs, "__iter__") and not isinstance(runs, str)
    require(several, f"sweep({short(runs)}): takes {rule}")
    settings = list(runs)
    require(bool(settings), f"sweep([]): takes {rule}; give at least one")
    for number, run in enumerate(settings):
        require(isinstance(run, Run), f"sweep: run {number} is {short(run)}; takes {rule}")
        try:
            check(run)
        except SettingError as error:
            raise SettingError(f"run {number} of the sweep: {error}") from None
    return settings


@contextmanager
def _folder(out: Path) -> Iterator[None]:
    """The folder of a sweep that begins or goes on; anything else in it is refused."""
    with new_folder("out", out, "sweep", overwrite=True):
        require(
            is_sweep(out) or is_empty(out),
            f"out={out}: there is something in it that is no sweep; name another",
        )
        yield


def workers_of(workers: int | Workers | None) -> Workers:
    """Processes of this machine, or those of a cluster.

    Raises:
        SettingError: for a number below 1.
    """
    if isinstance(workers, Workers):
        return workers
    if workers is not None:
        require(is_integer(workers), f"workers={workers!r}: must be an integer, or None for all cores")
        at_least("workers", workers, 1)
    return Workers(workers)


def numbered_jobs(runs: Sequence[Run], folder: Path) -> list[Job]:
    """Runs as the jobs of a sweep, each labelled with what tells it from the others."""
    settings = [flatten(describe(run)) for run in runs]
    varied = [
        key
        for key in dict.fromkeys(key for setting in settings for key in setting)
        if len({str(setting.get(key)) for setting in settings}) > 1
    ]
    labels = [" ".join(f"{key}={setting[key]}" for key in varied if key in setting) for setting in settings]
    return [
        Job(number, run, folder / str(number), label=label)
        for number, (run, label) in enumerate(zip(runs, labels, strict=True))
    ]


def _result(job: Job, outcome: Outcome | None, *, in_memory: bool) -> Result:
    """What the folder of a job holds; of one that has none, the status alone."""
    try:
        return load_result(job.run, job.folder, in_memory=in_memory)
    except UnreadableRun:
        status = "interrupted" if outcome is None else outcome.status
        return lost_result(job.run, status, None if outcome is None else outcome.error)


def _warn_of_failures(results: Sequence[Result]) -> None:
    failed = [(number, one) for number, one in enumerate(results) if one.status == "failed"]
    if failed:
        number, first = failed[0]
        warnings.warn(
            f"{len(failed)} of {len(results)} runs failed; the first is run {number}: {first.error}",
            stacklevel=3,
        )


class Watcher(Protocol):
    """Looks on while a sweep is trained."""

    def started(self, numbers: Sequence[int]) -> None:
        """Called with the jobs that have begun."""

    def ended(self, outcome: Outcome) -> None:
        """Called when the outcome of a job is known."""

    def refresh(self) -> None:
        """Called about five times a second, or between groups where this process trains them."""


@dataclass(frozen=True)
class _Telling:
    """Passes outcomes on and draws nothing."""

    tell: Tell | None = None

    def started(self, numbers: Sequence[int]) -> None:
        return None

    def ended(self, outcome: Outcome) -> None:
        if self.tell is not None:
            self.tell(outcome)

    def refresh(self) -> None:
        return None


class FailedFast(Exception):
    """A run failed, and no more are to begin."""


@dataclass
class Sweep:
    """Trains the jobs of a sweep and keeps the sweep's own record of them.

    Arguments:
        folder: of the sweep.
        resumed: whether the folder holds the same sweep, stopped on its way.
        max_stack: runs that are trained as one computation at most; None leaves it to the network's size.
        retry: failed or diverged: what is done again when going on, next to what had not ended.
        fail_fast: begin no more runs once one has failed.
        typed: what was typed, as sweep.json keeps it.
        key: what the folder was given as, for messages.
        overwrite: whether a sweep that the folder holds goes, once the new one is known to be one.
        jobs: those handed over so far; a sweeper that searches hands them over in batches.
        stopped: whether a run failed and no more are to begin.
    """

    folder: Path
    resumed: bool = False
    max_stack: int | None = None
    retry: str | None = None
    fail_fast: bool = False
    typed: Sequence[str] = ()
    key: str = "sweep.resume"
    overwrite: bool = False
    jobs: list[Job] = field(default_factory=list)
    stopped: bool = False

    def __post_init__(self) -> None:
        self._tell = Teller(self.folder)

    @property
    def outcomes(self) -> dict[int, Outcome]:
        """How the jobs ended so far, by number."""
        return outcomes(self.folder) | {outcome.number: outcome for outcome in self._tell.untold}

    def add(self, jobs: Sequence[Job]) -> list[Job]:
        """Record the next jobs before any of them begins; those that are left to train.

        Raises:
            SettingError: when the folder holds no sweep to go on with, or one of other jobs.
        """
        first = not self.jobs
        refuse_shared(self.folder, [job.folder for job in (*self.jobs, *jobs)], len(self.jobs))
        self.jobs += jobs
        if self.stopped:
            return []
        if self.resumed:
            left = reopen(self.folder, jobs, self.retry, initial_slope_in, self.typed, self.key)
            for job in left:
                clear_run(job.folder)
            return left
        make_room(self.folder, [job.folder for job in jobs], overwrite=self.overwrite and first)
        if first:
            begin(self.folder, jobs, self.typed)
        else:
            extend(self.folder, jobs)
        return list(jobs)

    def groups(self, jobs: Sequence[Job], workers: Workers) -> list[JobGroup]:
        """The jobs as they are trained together."""
        return grouped(jobs, worker_count(workers), self.max_stack) if jobs else []

    def train(
        self, jobs: Sequence[Job], workers: Workers, watcher: Watcher | None = None
    ) -> dict[int, Outcome]:
        """Train jobs that `add` left, and tell how every job of the sweep ended."""
        groups = self.groups(jobs, workers)
        if groups:
            follower = Follower(self.folder)
            follower.new()
            self._each(groups, workers, self._watching(groups, workers, follower, watcher or _Telling()))
        return self.outcomes

    def _watching(
        self, groups: Sequence[JobGroup], workers: Workers, follower: Follower, watcher: Watcher
    ) -> Callable[[], None]:
        """What is called while the groups are trained."""
        waiting = Waiting(groups, worker_count(workers))
        watcher.started(waiting.begun(()))
        seen = set[int]()

        def watch() -> None:
            self._tell.retry()
            for outcome in (*follower.new(), *self._tell.untold):
                if outcome.number in seen:
                    continue
                seen.add(outcome.number)
                watcher.ended(outcome)
                watcher.started(waiting.begun([outcome.number]))
                if self.fail_fast and outcome.status == "failed":
                    raise FailedFast
            watcher.refresh()

        return watch

    def _each(self, groups: Sequence[JobGroup], workers: Workers, watch: Callable[[], None]) -> None:
        try:
            with interruptible():
                work = partial(_train, self.folder, granted())
                for failure in each(groups, work, workers, watch=watch):
                    self._failed(failure)
                    watch()
                watch()
            self._settle(groups)
        except KeyboardInterrupt:
            _interrupt(groups)
            raise
        except FailedFast:
            self.stopped = True
        if self.stopped:  # and the other processes have ended
            _interrupt(groups)

    def _settle(self, groups: Sequence[JobGroup]) -> None:
        """Say of runs that failed why, where their own process could not."""
        ended = self.outcomes
        for job in (job for group in groups for job in group.jobs):
            outcome = ended.get(job.number)
            if outcome is not None and outcome.status == "failed" and (job.folder / RUN_FILE).exists():
                fail(job, outcome.error or "")

    def _failed(self, failure: GroupFailure[JobGroup]) -> None:
        """Runs whose process died are failed, unless they had ended before."""
        ended = self.outcomes
        for job in failure.group.jobs:
            if job.number not in ended:
                outcome = told_by_folder(job, initial_slope_in)
                if outcome is None:
                    outcome = Outcome(job.number, "failed", 0.0, error=failure.error)
                    fail(job, failure.error)
                self._tell(outcome)


class Waiting:
    """Which groups have begun: as many as there are processes, and the next when all jobs of one have ended.

    Arguments:
        groups: in the order in which they begin.
        workers: processes.
    """

    def __init__(self, groups: Sequence[JobGroup], workers: int) -> None:
        self._waiting, self._workers = list(groups), workers
        self._running: list[set[int]] = []

    def begun(self, ended: Iterable[int]) -> list[int]:
        """The jobs that have begun since the last call, given those that have ended since."""
        self._running = [left for group in self._running if (left := group.difference(ended))]
        free = self._workers - len(self._running)
        next_ones, self._waiting = self._waiting[:free], self._waiting[free:]
        self._running += [{job.number for job in group.jobs} for group in next_ones]
        return [job.number for group in next_ones for job in group.jobs]


def _interrupt(groups: Sequence[JobGroup]) -> None:
    for group in groups:
        for job in group.jobs:
            interrupt(job)


def _train(folder: Path, own: frozenset[Path], group: JobGroup, place: Place) -> None:
    """Train a group, here or in another process, for the one that holds the folders `own`."""
    if place.device is not None:
        torch.cuda.set_device(place.device)
    tell = Teller(folder)
    with acting_for(own):
        train_group(group, tell, final_numbers)
    tell.close()


def final_numbers(result: Result) -> dict[str, float | None]:
    """The last known metrics, and the slope of the gradients over the layers at the first logged step."""
    return {**result.final, "gradient_slope": initial_slope(result.tables[GRADIENTS_FILE])}


def initial_slope(gradients: pd.DataFrame | Columns) -> float:
    """Decades per layer at the first step that has gradients, positive when they shrink towards the input.

    Of dLoss/dz, or of dLoss/dW where nothing else was measured; NaN where there is no slope.

    Arguments:
        gradients: the rows of gradients.csv.
    """
    return flow(measured(gradients), "start").slope


def initial_slope_in(folder: Path) -> dict[str, float | None]:
    """What `final_numbers` has next to the metrics, of a run folder; nothing where it has no gradients."""
    try:
        rows = read_gradients(folder)
    except UnreadableRun:
        return {}
    return {"gradient_slope": initial_slope(rows)} if len(rows) else {}
