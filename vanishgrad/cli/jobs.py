"""What Hydra calls: the training of one run, alone or as a job of a sweep."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Hashable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeperConf
from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from omegaconf import DictConfig
from rich.console import Console

from vanishgrad.choices.data import load
from vanishgrad.cli.arguments import SweepOptions
from vanishgrad.cli.progress import progress_bar
from vanishgrad.cli.terminal import PrintableConsole, working
from vanishgrad.config.batch import ComposedJob, Family, QuickLoader
from vanishgrad.config.overrides import as_typed
from vanishgrad.config.plan import without_hydra
from vanishgrad.config.setting import ComposedRun, setting_of, to_setting
from vanishgrad.engine import Result, check, train
from vanishgrad.engine.evaluate import check_objective
from vanishgrad.engine.plan import steps_of
from vanishgrad.errors import SettingError, error_line
from vanishgrad.folders import acting_for
from vanishgrad.printing import printable
from vanishgrad.records import GRADIENTS_FILE
from vanishgrad.report.labels import counted
from vanishgrad.run import Run, identity, reseeded
from vanishgrad.sweeps.job import refuse_twice

CHECKING = "composing and checking the runs"


@dataclass
class SingleRun:
    """Trains one run under a progress bar, and keeps what came of it: Hydra would print an error and exit.

    Arguments:
        console: where the bar goes.
    """

    console: Console
    result: Result | None = None
    error: Exception | None = None

    def __call__(self, config: DictConfig) -> None:
        setting, provenance = to_setting(config), _overrides()
        try:
            with progress_bar(self.console) as observe:
                self.result = train(
                    setting.effective, _folder(), provenance=setting.provenance(provenance), observe=observe
                )
        except Exception as error:
            self.error = error


@dataclass
class SweepJob:
    """Trains one job of a sweep and prints a line about it. A failed job is a line too: the others go on.

    The launcher `vectorized` hands over all jobs at once, to `together`.

    Arguments:
        options: how the sweep is run.
        overwrite: whether a sweep that is in the folder goes.
        own: the folders that the process of the sweep holds, which other launchers' jobs write in.
        common: overrides that every job has, and that are left out of its label.
        width: characters of the longest label.
        sign_of_life: what tells that jobs are checked, as long as they are.
    """

    options: SweepOptions = field(default_factory=SweepOptions)
    overwrite: bool = False
    own: frozenset[Path] = frozenset()
    common: set[str] = field(default_factory=set)
    width: int = 0
    sign_of_life: ExitStack = field(default_factory=ExitStack)  # until the first job begins
    _sweep: Any = None  # the jobs of earlier calls, of a sweeper that searches

    def loader(self, hydras: ConfigLoader) -> QuickLoader:
        """What composes jobs in place of Hydra's loader, the first of which it is about to."""
        self.sign_of_life.enter_context(working(CHECKING))
        return QuickLoader(hydras)

    def together(
        self, config: DictConfig, load: QuickLoader, overrides: Sequence[Sequence[str]], first: int,
        launcher: Any,
    ) -> list[JobReturn]:  # fmt: skip
        """Train jobs in groups of one structure; what Hydra's sweeper gets back of each.

        Arguments:
            config: what the jobs have in common.
            load: what `loader` gave.
            overrides: of each job.
            first: the number of the first one.
            launcher: its `n_jobs`, `backend` and `address`.
        """
        from vanishgrad.cli.sweep import job_of, returned, sweep_of, train_shown, worth
        from vanishgrad.sweeps.pool import Workers

        batch = [load.take(config, job, number) for number, job in enumerate(overrides, first)]
        pairs = list(zip(batch, self.validate(batch, config.hydra.sweeper), strict=True))
        folder = Path(config.hydra.sweep.dir).absolute()
        jobs = [job_of(job, setting, folder, self._label(_typed(job.overrides))) for job, setting in pairs]
        if self._sweep is None:
            self._sweep = sweep_of(folder, self.options, self.overwrite)
        workers = Workers(launcher.n_jobs, launcher.backend, launcher.address)
        console = PrintableConsole()
        done = train_shown(self._sweep, jobs, workers, console, self.options.verbose)
        name, sweeper = str(config.hydra.job.name), config.hydra.sweeper
        return [
            returned(one, composed, name, worth(sweeper, done.get(one.number), setting.objective))
            for one, (composed, setting) in zip(jobs, pairs, strict=True)
        ]

    def show_failures(self, console: Console) -> None:
        """Print what became of the jobs that did not complete, where they were trained together."""
        if self._sweep is not None:
            from vanishgrad.cli.sweep_table import show_failures

            show_failures(console, self._sweep.outcomes, self._sweep.jobs)

    def validate(self, jobs: Sequence[ComposedJob], sweeper: DictConfig) -> list[ComposedRun]:
        """The settings of `jobs`; refuses the sweep when one cannot run, before the first one starts.

        A setting is that of the job's family, whatever seed the job has.
        """
        overrides = [_typed(job.overrides) for job in jobs]
        counts = Counter(override for job in overrides for override in set(job))
        self.common = {override for override, count in counts.items() if count == len(jobs) > 1}
        self.width = max((len(self._label(job)) for job in overrides), default=0)
        searches = sweeper._target_ != BasicSweeperConf._target_
        families = {family: _setting_or_refusal(family, searches) for family in _families(jobs)}
        settings = [families[job.family] for job in jobs]
        refused = [(job, why) for job, why in zip(overrides, settings, strict=True) if isinstance(why, str)]
        if refused:
            job, reason = refused[0]
            others = f" ({len(refused)} of {len(jobs)} jobs are refused)" if len(refused) > 1 else ""
            raise SettingError(f"{_named(job, reason)}{others}")
        composed = [setting for setting in settings if isinstance(setting, ComposedRun)]
        if not searches:
            refuse_twice(_identities(jobs, composed), [" ".join(job) for job in overrides])
        for setting, job in dict(zip(composed, overrides, strict=True)).items():
            tell_end(setting.effective, job)
        self.sign_of_life.close()
        print(counted(len(jobs), "run"), flush=True)
        return composed

    @property
    def failures(self) -> dict[Path, str]:
        """The folders of runs that failed, trained together, and why, also where that is not written."""
        if self._sweep is None:
            return {}
        failed = {number: one for number, one in self._sweep.outcomes.items() if one.status == "failed"}
        return {job.folder: str(failed[job.number].error) for job in self._sweep.jobs if job.number in failed}

    def __call__(self, config: DictConfig) -> float:
        """Train one job; its objective."""
        from vanishgrad.cli.sweep import worth_of
        from vanishgrad.sweeps.sweep import final_numbers

        overrides, sweeper = _overrides(), HydraConfig.get().sweeper
        head = f"{HydraConfig.get().job.num:>3}  {self._label(overrides):<{self.width}}  "
        try:
            setting = to_setting(config)
            with acting_for(self.own):
                result = train(setting.effective, _folder(), provenance=setting.provenance(overrides))
        except Exception as error:
            print(printable(f"{head}failed: {error_line(error)}"), flush=True)
            return worth_of(sweeper, "failed", {}, str(config.objective))
        print(printable(f"{head}{_line(result)}"), flush=True)
        return worth_of(sweeper, result.status, final_numbers(result), setting.objective)

    def _label(self, overrides: Sequence[str]) -> str:
        return " ".join(override for override in overrides if override not in self.common)


def _named(job: Sequence[str], reason: str) -> str:
    """The reason behind the overrides of the job, unless it begins with one of them."""
    is_named = any(reason.startswith((f"{override}:", f"{override} ")) for override in job)
    return reason if is_named else f"{' '.join(job)}: {reason}"


def _line(result: Result) -> str:
    """`completed  accuracy 0.917  slope +0.021`; what is not finite is left out."""
    from vanishgrad.sweeps.sweep import initial_slope

    at = result.diverged_at
    parts = [result.status if at is None else f"diverged at step {at['step']}"]
    accuracy, loss = result.final.get("val_accuracy"), result.final.get("val_loss")
    numbers = {
        "accuracy {:.3f}": accuracy,
        "loss {:.4g}": loss if accuracy is None else None,
        "bits per character {:.3f}": result.final.get("bits_per_character"),
        "slope {:+.3f}": initial_slope(result.tables[GRADIENTS_FILE]),
    }
    parts += [form.format(x) for form, x in numbers.items() if x is not None and math.isfinite(x)]
    return "  ".join(parts)


def checked_setting(config: DictConfig) -> ComposedRun:
    """The setting of a composed configuration that can run here.

    Raises:
        SettingError: for a setting that makes no sense, and for one that torch has no room for.
    """
    return _checked(to_setting(without_hydra(config)))


def _checked(setting: ComposedRun, searches: bool = False) -> ComposedRun:
    """A setting that can run here, and that a search can look at."""
    try:
        data = check(setting.effective)
    except (MemoryError, OverflowError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SettingError(f"this machine cannot set up the run: {reason}") from None
    if searches:
        check_objective(setting.objective, data)
    return setting


def _families(jobs: Sequence[ComposedJob]) -> list[Family]:
    """Each once, in the order of their first jobs."""
    return list(dict.fromkeys(job.family for job in jobs))


def tell_end(run: Run, overrides: Sequence[str]) -> None:
    """Note which of `epochs` and `max_steps` ends a run, where that is not what one of them says.

    Arguments:
        run: that is to be trained.
        overrides: as typed.
    """
    if run.max_steps is None:
        return
    _, per_epoch = steps_of(run, len(load(run.data).train_x))
    of_epochs = run.epochs * per_epoch
    if of_epochs < run.max_steps:
        enough = math.ceil(run.max_steps / max(1, per_epoch))
        ends = f"epochs={run.epochs} ends training before, at step {of_epochs}; it takes epochs={enough}"
        warnings.warn(f"max_steps={run.max_steps}: {ends}", stacklevel=2)
    elif of_epochs > run.max_steps and any(text.startswith("epochs=") for text in overrides):
        epoch = run.max_steps // per_epoch + 1
        ends = f"max_steps={run.max_steps} ends training before, in epoch {epoch}"
        warnings.warn(f"epochs={run.epochs}: {ends}", stacklevel=2)


def _identities(jobs: Sequence[ComposedJob], settings: Sequence[ComposedRun]) -> list[Hashable]:
    """What is equal for jobs that end alike: their settings apart from the seed, and the seed."""
    kinds: dict[ComposedRun, int] = {}
    known: dict[Hashable, int] = {}
    for one in dict.fromkeys(settings):
        runs = (identity(reseeded(run, 0)) for run in (one.effective, one.composed))
        kinds[one] = known.setdefault((*runs, one.remedy), len(known))
    seeds = (job.seed for job in jobs)
    return [
        (kinds[one], one.effective.seed if seed is None else seed)
        for one, seed in zip(settings, seeds, strict=True)
    ]


def _setting_or_refusal(family: Family, searches: bool) -> ComposedRun | str:
    """The setting of the jobs of a family, or why they cannot run."""
    try:
        return family.refusal or _checked(setting_of(family.setting), searches)
    except SettingError as error:
        return str(error)


def _overrides() -> list[str]:
    return _typed(HydraConfig.get().overrides.task)


def _typed(overrides: Sequence[str]) -> list[str]:
    return [as_typed(override) for override in overrides]


def _folder() -> Path:
    return Path(HydraConfig.get().runtime.output_dir)
