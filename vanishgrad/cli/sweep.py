"""The jobs of a sweep, trained together: what the launcher `vectorized` calls."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import current_thread, main_thread

import torch
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from vanishgrad.cli.arguments import SweepOptions
from vanishgrad.cli.sweep_table import sweep_display
from vanishgrad.config.compose import to_yaml
from vanishgrad.config.overrides import as_typed
from vanishgrad.config.plan import without_hydra
from vanishgrad.config.setting import ComposedRun
from vanishgrad.diagnosis.describe import flow
from vanishgrad.diagnosis.layers import by_layer
from vanishgrad.engine import Result
from vanishgrad.engine.evaluate import objective_of
from vanishgrad.report.runs import load_runs
from vanishgrad.sweep.job import Job, Outcome
from vanishgrad.sweep.ledger import Follower, append, begin, extend, outcomes
from vanishgrad.sweep.pool import GroupFailure, Place, Workers, each, worker_count
from vanishgrad.sweep.resumption import clear, fail, interrupt, reopen
from vanishgrad.sweep.work import JobGroup, grouped, train_group


class FailedFast(Exception):
    """A run failed, and no more are to begin."""


@dataclass
class Sweep:
    """Trains the jobs of a sweep and keeps the sweep's own record of them.

    Arguments:
        folder: of the sweep.
        options: how it is run.
        console: where it is shown.
        jobs: those handed over so far; a sweeper that searches hands them over in batches.
        stopped: whether a run failed and no more are to begin.
    """

    folder: Path
    options: SweepOptions
    console: Console
    jobs: list[Job] = field(default_factory=list)
    stopped: bool = False

    def train(self, jobs: Sequence[Job], workers: Workers) -> dict[int, Outcome]:
        """Train what is left to do of `jobs`, and tell how each ended."""
        if self.stopped:
            self.jobs += jobs
            return outcomes(self.folder)
        left = self._left(jobs)
        groups = grouped(left, worker_count(workers), self.options.max_stack)
        if self.options.verbose:
            self._explain(groups)
        follower, known = Follower(self.folder), outcomes(self.folder)
        follower.new()
        with sweep_display(self.console, jobs, known) as display:
            waiting = Waiting(groups, worker_count(workers))
            display.started(waiting.begun(()))

            def watch() -> None:
                for outcome in follower.new():
                    display.ended(outcome)
                    display.started(waiting.begun([outcome.number]))
                    if self.options.fail_fast and outcome.status == "failed":
                        raise FailedFast
                display.refresh()

            self._each(groups, workers, watch)
        return outcomes(self.folder)

    @property
    def outcomes(self) -> dict[int, Outcome]:
        """How the jobs ended so far."""
        return outcomes(self.folder)

    def _left(self, jobs: Sequence[Job]) -> list[Job]:
        """The jobs that are to be trained; recorded before the first one begins."""
        options, first = self.options, not self.jobs
        self.jobs += jobs
        if options.resume is not None:
            left = reopen(self.folder, jobs, options.retry, slope_in, options.typed)
            for job in left:
                clear(job)
            return left
        if first:
            begin(self.folder, jobs, options.typed)
        else:
            extend(self.folder, jobs)
        return list(jobs)

    def _each(self, groups: Sequence[JobGroup], workers: Workers, watch: Callable[[], None]) -> None:
        try:
            with _terminable():
                self._watched(groups, workers, watch)
        except KeyboardInterrupt:
            self._interrupt(groups)
            raise
        except FailedFast:
            self.stopped = True
        if self.stopped:  # and the other processes have ended
            self._interrupt(groups)

    def _interrupt(self, groups: Sequence[JobGroup]) -> None:
        for group in groups:
            for job in group.jobs:
                interrupt(job)

    def _watched(self, groups: Sequence[JobGroup], workers: Workers, watch: Callable[[], None]) -> None:
        for ended in each(groups, partial(_train, self.folder), workers, watch=watch):
            self._failed(ended)
            watch()
        watch()

    def _failed(self, failure: GroupFailure[JobGroup]) -> None:
        """Runs whose process died are failed, unless they had ended before."""
        known = outcomes(self.folder)
        for job in failure.group.jobs:
            if job.number not in known:
                fail(job, failure.error)
                append(self.folder, Outcome(job.number, "failed", 0.0, error=failure.error))

    def _explain(self, groups: Sequence[JobGroup]) -> None:
        for group in groups:
            if len(group.jobs) > 1:
                told = f"{len(group.jobs)} runs together: {', '.join(str(job.number) for job in group.jobs)}"
            else:
                job = group.jobs[0]
                told = f"{job.number} alone: {group.reason or 'no other run has its structure'}"
            print(told, flush=True)


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


@contextmanager
def _terminable() -> Iterator[None]:
    """Inside, SIGTERM ends everything as Ctrl-C does."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _train(folder: Path, group: JobGroup, place: Place) -> None:
    """Train a group, here or in another process."""
    if place.device is not None:
        torch.cuda.set_device(place.device)
    train_group(group, partial(append, folder), final_numbers)


def final_numbers(result: Result) -> dict[str, float | None]:
    """The last known metrics, and the slope of the gradients over the layers at the first logged step."""
    return {**result.final, "gradient_slope": flow(by_layer(result.gradients), "start").slope}


def slope_in(folder: Path) -> dict[str, float | None]:
    """What `final_numbers` has beside the metrics, of a run folder."""
    runs = load_runs(folder).runs
    return {"gradient_slope": flow(runs[0].gradients, "start").slope} if runs else {}


def job_of(number: int, config: DictConfig, setting: ComposedRun, label: str) -> Job:
    """The job number `number` of a sweep, composed as `config`."""
    overrides = [as_typed(override) for override in config.hydra.overrides.task]
    folder = Path(config.hydra.sweep.dir).absolute() / str(config.hydra.sweep.subdir)
    return Job(number, setting.effective, folder, setting.provenance(overrides), label, _hydras_files(config))


def _hydras_files(config: DictConfig) -> tuple[tuple[str, str], ...]:
    """What Hydra leaves in the folder of a job."""
    where = config.hydra.output_subdir
    if where is None:
        return ()
    whole = OmegaConf.to_container(config, resolve=False, enum_to_str=True)
    assert isinstance(whole, dict)
    hydra = whole.pop("hydra")
    parts = {"config": whole, "hydra": {"hydra": hydra}, "overrides": hydra["overrides"]["task"]}
    return tuple((f"{where}/{name}.yaml", to_yaml(part)) for name, part in parts.items())


def returned(config: DictConfig, outcome: Outcome | None, objective: str) -> JobReturn:
    """What a sweeper gets back for a job: its objective."""
    found = JobReturn(
        overrides=list(config.hydra.overrides.task), cfg=without_hydra(config), hydra_cfg=config,
        working_dir=str(Path(config.hydra.sweep.dir) / str(config.hydra.sweep.subdir)),
        task_name=config.hydra.job.name,
    )  # fmt: skip
    found.status = JobStatus.COMPLETED  # a job that Hydra calls failed would end the sweep
    found.return_value = worth(config, "failed" if outcome is None else outcome.status, objective, (
        {} if outcome is None else outcome.metrics
    ))  # fmt: skip
    return found


def worth(config: DictConfig, status: str, objective: str, numbers: Mapping[str, float | None]) -> float:
    """What the sweeper of `config` is told of a run that ended with `status`."""
    maximize = "max" in str(config.hydra.sweeper.get("direction", "")).lower()
    return objective_of(objective, status, numbers, maximize=maximize)
