"""A sweep on the terminal: Hydra's jobs as those of a sweep, the display, and what a sweeper gets back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from vanishgrad.cli.arguments import SweepOptions
from vanishgrad.cli.sweep_table import sweep_display
from vanishgrad.cli.terminal import working
from vanishgrad.config.compose import to_yaml
from vanishgrad.config.overrides import as_typed
from vanishgrad.config.plan import without_hydra
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
    result = JobReturn(
        overrides=list(config.hydra.overrides.task), cfg=without_hydra(config), hydra_cfg=config,
        working_dir=str(Path(config.hydra.sweep.dir) / str(config.hydra.sweep.subdir)),
        task_name=config.hydra.job.name,
    )  # fmt: skip
    result.status = JobStatus.COMPLETED  # a job that Hydra calls failed would end the sweep
    result.return_value = worth(config, "failed" if outcome is None else outcome.status, objective, (
        {} if outcome is None else outcome.metrics
    ))  # fmt: skip
    return result


def worth(config: DictConfig, status: str, objective: str, numbers: Mapping[str, float | None]) -> float:
    """What the sweeper of `config` is told of a run that ended with `status`."""
    maximize = "max" in str(config.hydra.sweeper.get("direction", "")).lower()
    return objective_of(objective, status, numbers, maximize=maximize)
