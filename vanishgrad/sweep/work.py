"""What a process does with a group of jobs: train them, and tell how each ended."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from threadpoolctl import threadpool_limits

from vanishgrad.records import replace_file
from vanishgrad.run import Run
from vanishgrad.sweep.grouping import Group
from vanishgrad.sweep.job import Job, Outcome
from vanishgrad.sweep.stack import Stack
from vanishgrad.training import Result, check, train
from vanishgrad.training.batches import batch_size_of
from vanishgrad.training.machine import device_of, threads, threads_of
from vanishgrad.training.recorder import Recorder

LOG_FILE = "error.log"
Tell = Callable[[Outcome], None]
Measures = Callable[[Result], dict[str, float | None]]


def train_group(group: Group, tell: Tell, measures: Measures) -> None:
    """Train the jobs of a group, together or alone.

    An error in a stack is no run's own: its runs that have not ended are then trained one by one.

    Arguments:
        group: the jobs.
        tell: called with every outcome as soon as it is known.
        measures: gives the final numbers of a result.
    """
    left = {job.number: job for job in group.jobs}
    for job in group.jobs:
        _leave_files(job)

    def ended(place: int, result: Result) -> None:
        job = group.jobs[place]
        del left[job.number]
        tell(_outcome(job, result, measures(result), len(group.jobs)))

    if len(group.jobs) > 1:
        try:
            train_stack([job.run for job in group.jobs], ended, group.jobs)
        except Exception:
            for job in left.values():
                _log(job)
    for job in list(left.values()):
        tell(_alone(job, measures))


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
        recorders = [
            stack.enter_context(
                Recorder(
                    run,
                    None if jobs is None else jobs[row].folder,
                    jobs[row].provenance if jobs else None,
                    device,
                )
            )
            for row, run in enumerate(runs)
        ]
        Stack(runs, data, device, recorders, ended).finish()


def _alone(job: Job, measures: Measures) -> Outcome:
    try:
        result = train(job.run, job.folder, provenance=job.provenance)
        return _outcome(job, result, measures(result), 1)
    except Exception as error:
        return Outcome(
            job.number, "failed", 0.0, error=f"{type(error).__name__}: {error}", log=str(_log(job))
        )


def _outcome(job: Job, result: Result, metrics: dict[str, float | None], together: int) -> Outcome:
    at = None if result.diverged_at is None else int(result.diverged_at["step"])
    return Outcome(job.number, result.status, result.seconds / together, metrics, result.steps, at)


def _leave_files(job: Job) -> None:
    for name, text in job.files:
        path = job.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _log(job: Job) -> Path:
    """Leave the traceback of the exception at hand in the run folder."""
    path = job.folder / LOG_FILE
    replace_file(path, traceback.format_exc().encode())
    return path
