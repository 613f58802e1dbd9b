"""Hydra's launcher `vectorized`: hands all jobs over at once to a task that can train them together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

TARGET = "hydra_plugins.vanishgrad_launcher.vectorized.VectorizedLauncher"

ConfigStore.instance().store(
    group="hydra/launcher",
    name="vectorized",
    node={"_target_": TARGET, "n_jobs": None, "backend": "loky", "address": None},
    provider="vanishgrad_launcher",
)


class VectorizedLauncher(Launcher):
    """Runs the jobs of a sweep: together where the task function has a method `together`, else in turn.

    `together(config, loader, jobs, first, launcher)` is given the configuration that the jobs have in common,
    a config loader, the jobs' overrides, the number of the first job and this launcher with its parameters.
    A task with a method `loader` turns Hydra's config loader into its own. A job that fails does not keep
    the others from running.

    Arguments:
        n_jobs: processes; None for one per core, or one per GPU where there are any.
        backend: of joblib: loky for this machine, ray or dask for a cluster.
        address: of a running cluster.
    """

    def __init__(self, n_jobs: int | None = None, backend: str = "loky", address: str | None = None) -> None:
        self.n_jobs, self.backend, self.address = n_jobs, backend, address

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config
        self._load = hydra_context.config_loader
        loader = getattr(task_function, "loader", None)
        if loader is not None:  # the sweeper shares the context, and composes every job to see that it can be
            hydra_context.config_loader = loader(hydra_context.config_loader)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run one job for each list of overrides, numbered from `initial_job_idx`."""
        setup_globals()
        together = getattr(self.task, "together", None)
        if together is not None:
            returned: Sequence[JobReturn] = together(
                self.config, self.context.config_loader, job_overrides, initial_job_idx, self
            )
            return returned
        jobs = [self._composed(job, number) for number, job in enumerate(job_overrides, initial_job_idx)]
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        return [self._run(job) for job in jobs]

    def _composed(self, overrides: Sequence[str], number: int) -> DictConfig:
        job = self._load.load_sweep_config(self.config, list(overrides))
        with open_dict(job):
            job.hydra.job.id = str(number)
            job.hydra.job.num = number
        return job

    def _run(self, job: DictConfig) -> JobReturn:
        return run_job(
            task_function=self.task,
            config=job,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
            hydra_context=self.context,
        )
