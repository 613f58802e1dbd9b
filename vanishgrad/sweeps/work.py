"""Which runs are trained together."""

from __future__ import annotations

import math
import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from threadpoolctl import threadpool_limits

from vanishgrad.engine import Result, train
from vanishgrad.engine.memory import needed_bytes
from vanishgrad.engine.plan import batch_size_of
from vanishgrad.engine.prepare import check, device_of, parameter_count, threads, threads_of
from vanishgrad.engine.recorder import Recorder
from vanishgrad.engine.run_folder import lost_result
from vanishgrad.engine.stack import Stack
from vanishgrad.errors import SettingError, WriteError, error_line
from vanishgrad.files import replace_file, writing
from vanishgrad.folders import clear_run, last_words, locked, make_folder
from vanishgrad.records import LOG_FILE
from vanishgrad.run import Run, structure
from vanishgrad.sweeps.job import Job, Outcome
from vanishgrad.sweeps.numbers import summary

MOST = 64  # runs in a stack: more are no quicker
ENOUGH = 16  # fewer leave the processor waiting for Python
MEMORY = 2**30  # bytes of a stack, about


@dataclass(frozen=True)
class JobGroup:
    """Jobs that one process trains as a stack; a single one is trained alone.

    Arguments:
        jobs: of one structure.
        reason: why a job that could have had company is alone; empty otherwise.
    """

    jobs: tuple[Job, ...]
    reason: str = ""


def alone_because(run: Run) -> str | None:
    """Why `run` cannot be part of a stack; None where it can."""
    if run.data.running_text:
        return "data=text carries its state from batch to batch"
    if run.pretrain.freeze:
        return "pretrain.freeze=true trains the output layer alone"
    if run.recompute_every:
        return "recompute_every computes activations twice"
    return run.model.alone


def grouped(jobs: Sequence[Job], workers: int, max_stack: int | None = None) -> list[JobGroup]:
    """The jobs in groups, the most work first.

    Arguments:
        jobs: of a sweep, each checked.
        workers: processes that share the work; structures are divided so that all have some.
        max_stack: runs in a stack at most; None leaves the choice to the size of the network.
    """
    groups: list[JobGroup] = []
    alike: dict[Run, list[Job]] = defaultdict(list)
    for job in jobs:
        reason = alone_because(job.run)
        if reason is None:
            alike[structure(job.run)].append(job)
        else:
            groups.append(JobGroup((job,), reason))
    share = math.ceil(sum(map(len, alike.values())) / workers)
    for members in alike.values():
        most = max_stack or min(fitting(members[0].run), max(ENOUGH, share))
        groups += [JobGroup(tuple(part)) for part in _evenly(members, most)]
    return sorted(groups, key=lambda group: -len(group.jobs))


def fitting(run: Run) -> int:
    """Runs like `run` that a stack holds: as many as are quickest, fewer where memory sets the limit."""
    size = needed_bytes(run, parameter_count(run), batch_size_of(run, len(check(run).train_x)))
    return max(1, min(MOST, int(MEMORY // size)))


def _evenly(members: Sequence[Job], most: int) -> list[Sequence[Job]]:
    """Parts of nearly equal length, none longer than `most`."""
    parts = math.ceil(len(members) / most)
    bounds = [round(part * len(members) / parts) for part in range(parts + 1)]
    return [members[start:end] for start, end in pairwise(bounds)]


Tell = Callable[[Outcome], None]
Measures = Callable[[Result], dict[str, float | None]]


def train_group(group: JobGroup, tell: Tell, measures: Measures) -> None:
    """Train the jobs of a group, together or alone.

    An error in a stack is no run's own: its runs that have not ended are then trained one by one.

    Arguments:
        group: the jobs.
        tell: called with every outcome as soon as it is known.
        measures: gives the final numbers of a result.
    """
    with ExitStack() as stack:
        locks = {job.number: stack.enter_context(ExitStack()) for job in group.jobs}

        def told(outcome: Outcome) -> None:
            tell(outcome)
            locks[outcome.number].close()

        jobs = [job for job in group.jobs if _opened(job, locks[job.number], told)]
        left = {job.number: job for job in jobs}

        def ended(place: int, result: Result) -> None:
            job = jobs[place]
            del left[job.number]
            told(_outcome(job, result, measures(result), len(jobs)))

        if len(jobs) > 1:
            try:
                train_stack([job.run for job in jobs], ended, jobs)
            except Exception as error:
                for job in left.values():
                    clear_run(job.folder)
                    _log_of(job, error)
        for job in list(left.values()):
            told(_alone(job, measures))


def _opened(job: Job, lock: ExitStack, tell: Tell) -> bool:
    """Make the folder of a job, lock it until its line is written, and fill it; False where that fails."""
    try:
        make_folder("folder", job.folder)
        lock.enter_context(locked("folder", job.folder))
        with writing(job.folder):
            _leave_files(job)
    except (SettingError, WriteError) as error:
        tell(_failed(job, error))
        return False
    return True


def train_stack(
    runs: Sequence[Run], ended: Callable[[int, Result], None], jobs: Sequence[Job] | None = None
) -> None:
    """Train runs of one structure as a stack.

    Arguments:
        runs: the settings.
        ended: called with a run's place and result when it has ended.
        jobs: their folders and provenance; None keeps the tables in memory.
    """
    data, device = check(runs[0]), device_of(runs[0])
    count = threads_of(runs[0], len(runs) * batch_size_of(runs[0], len(data.train_x)))
    with threads(count), threadpool_limits(count, "blas"), ExitStack() as stack:
        recorders: dict[int, Recorder] = {}
        for place, run in enumerate(runs):
            folder = None if jobs is None else jobs[place].folder
            origin = None if jobs is None else jobs[place].provenance
            try:
                recorders[place] = stack.enter_context(Recorder(run, folder, origin, device))
            except WriteError as error:
                ended(place, lost_result(run, "failed", str(error)))
        if recorders:
            places = list(recorders)
            begun = [runs[place] for place in places]
            Stack(
                begun, data, device, list(recorders.values()), lambda row, result: ended(places[row], result)
            ).finish()


def _alone(job: Job, measures: Measures) -> Outcome:
    try:
        result = train(job.run, job.folder, provenance=job.provenance)
        return _outcome(job, result, measures(result), 1)
    except Exception as error:
        return _failed(job, error)


def _outcome(job: Job, result: Result, metrics: dict[str, float | None], together: int) -> Outcome:
    at = None if result.diverged_at is None else int(result.diverged_at["step"])
    known = {} if result.status == "failed" else summary(result)
    return Outcome(
        job.number, result.status, result.seconds / together, metrics, result.steps, at, result.error,
        summary=known,
    )  # fmt: skip


def _failed(job: Job, error: Exception) -> Outcome:
    """The outcome of a run that ended with an error."""
    log = _log_of(job, error)
    return Outcome(job.number, "failed", 0.0, error=error_line(error), log=None if log is None else str(log))


def _log_of(job: Job, error: Exception) -> Path | None:
    """The traceback of the exception at hand, left in the run folder unless its sentence says all."""
    return None if isinstance(error, (SettingError, WriteError)) else _log(job)


def _leave_files(job: Job) -> None:
    for file in job.files:
        path = job.folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.filled(job.words), encoding="utf-8")


def _log(job: Job) -> Path | None:
    """Leave the traceback of the exception at hand in the run folder, if the disk takes it."""
    path = job.folder / LOG_FILE
    return (
        path if last_words(job.folder, partial(replace_file, path, traceback.format_exc().encode())) else None
    )
