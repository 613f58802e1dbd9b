"""Hydra's launcher `sequential`: checks all jobs before the first starts, then runs them in turn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn, run_job, setup_globals
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

TARGET = "hydra_plugins.vanishgrad_launcher.sequential.SequentialLauncher"

ConfigStore.instance().store(
    group="hydra/launcher", name="sequential", node={"_target_": TARGET}, provider="vanishgrad_launcher"
)


class SequentialLauncher(Launcher):
    """Runs the jobs of a sweep in this process.

    A task function may carry a method `validate`, which is given the configurations of all jobs before the
    first one runs and raises to refuse the sweep. A job that fails does not keep the others from running.
    """

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run one job for each list of overrides, numbered from `initial_job_idx`."""
        setup_globals()
        jobs = [self._composed(job, number) for number, job in enumerate(job_overrides, initial_job_idx)]
        validate = getattr(self.task, "validate", None)
        if validate is not None:
            validate(jobs)
        Path(self.config.hydra.sweep.dir).mkdir(parents=True, exist_ok=True)
        return [self._run(job) for job in jobs]

    def _composed(self, overrides: Sequence[str], number: int) -> DictConfig:
        job = self.context.config_loader.load_sweep_config(self.config, list(overrides))
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
