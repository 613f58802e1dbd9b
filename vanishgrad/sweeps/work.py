"""Which runs are trained together."""

from __future__ import annotations

import math
import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from threadpoolctl import threadpool_limits

from vanishgrad.engine import Result, train
from vanishgrad.engine.memory import needed_bytes
from vanishgrad.engine.plan import batch_size_of
from vanishgrad.engine.prepare import check, device_of, parameter_count, threads, threads_of
from vanishgrad.engine.recorder import Recorder
from vanishgrad.engine.stack import Stack
from vanishgrad.records import replace_file
from vanishgrad.run import Run, structure
from vanishgrad.sweeps.job import Job, Outcome

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


LOG_FILE = "error.log"
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
    for file in job.files:
        path = job.folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.filled(job.words), encoding="utf-8")


def _log(job: Job) -> Path:
    """Leave the traceback of the exception at hand in the run folder."""
    path = job.folder / LOG_FILE
    job.folder.mkdir(parents=True, exist_ok=True)  # the run may have come to nothing before it had one
    replace_file(path, traceback.format_exc().encode())
    return path
