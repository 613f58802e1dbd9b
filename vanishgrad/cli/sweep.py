"""A sweep on the terminal: Hydra's jobs as those of a sweep, the display, and what a sweeper gets back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig
from rich.console import Console

from vanishgrad.cli.arguments import SweepOptions
from vanishgrad.cli.sweep_table import sweep_display
from vanishgrad.cli.terminal import working
from vanishgrad.config.batch import ComposedJob
from vanishgrad.config.overrides import as_typed
from vanishgrad.config.setting import ComposedRun
from vanishgrad.engine.evaluate import objective_of
from vanishgrad.printing import printable
from vanishgrad.sweeps.job import Job, Outcome
from vanishgrad.sweeps.pool import Workers
from vanishgrad.sweeps.sweep import Sweep
from vanishgrad.sweeps.work import JobGroup


def sweep_of(folder: Path, options: SweepOptions, overwrite: bool = False) -> Sweep:
    """The sweep that the options of the command line describe."""
    return Sweep(
        folder, options.resume is not None, options.max_stack, options.retry, options.fail_fast,
        options.typed, overwrite=overwrite,
    )  # fmt: skip


def train_shown(
    sweep: Sweep, jobs: Sequence[Job], workers: Workers, console: Console, verbose: bool = False
) -> dict[int, Outcome]:
    """Train what is left to do of `jobs` with a display of how far it is; how every job ended."""
    with working("recording the runs"):
        left = sweep.add(jobs)
    if verbose:
        _explain(sweep.groups(left, workers))
    if not left:
        return sweep.outcomes
    with sweep_display(console, jobs, sweep.outcomes) as display:
        return sweep.train(left, workers, display)


def _explain(groups: Sequence[JobGroup]) -> None:
    """Print which jobs are trained together, and why others are alone."""
    for group in groups:
        numbers = ", ".join(str(job.number) for job in group.jobs)
        alone = f"{numbers} alone: {group.reason or 'no other run has its structure'}"
        count = len(group.jobs)
        print(printable(f"{count} runs together: {numbers}" if count > 1 else alone), flush=True)


def job_of(composed: ComposedJob, setting: ComposedRun, folder: Path, label: str) -> Job:
    """A job of a sweep.

    Arguments:
        composed: the job.
        setting: that of its family.
        folder: of the sweep.
        label: what tells it from the others.
    """
    overrides, seed = [as_typed(override) for override in composed.overrides], composed.seed
    return Job(
        composed.number, setting.seeded(seed), folder / composed.subdir, setting.provenance(overrides, seed),
        label, composed.family.files, composed.words,
    )  # fmt: skip


def returned(job: Job, composed: ComposedJob, name: str, value: float) -> JobReturn:
    """What a sweeper gets back for a job.

    Arguments:
        job: that was trained.
        composed: the same, as Hydra composed it.
        name: what Hydra calls all jobs.
        value: its objective.
    """
    result = JobReturn(overrides=composed.overrides, working_dir=str(job.folder), task_name=name)
    result.status = JobStatus.COMPLETED  # a job that Hydra calls failed would end the sweep
    result.return_value = value
    return result


def worth(sweeper: DictConfig, outcome: Outcome | None, objective: str) -> float:
    """What a sweeper is told of a job that ended with `outcome`; None for one that was not begun."""
    if outcome is None:
        return worth_of(sweeper, "failed", {}, objective)
    return worth_of(sweeper, outcome.status, outcome.metrics, objective)


def worth_of(sweeper: DictConfig, status: str, numbers: Mapping[str, float | None], objective: str) -> float:
    """What a sweeper is told of a run that ended with `status`."""
    maximize = "max" in str(sweeper.get("direction", "")).lower()
    return objective_of(objective, status, numbers, maximize=maximize)
