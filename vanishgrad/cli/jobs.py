"""What Hydra calls: the training of one run, alone or as a job of a sweep."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from vanishgrad.cli.interruption import Interruption
from vanishgrad.cli.progress import progress_bar
from vanishgrad.config.overrides import as_typed
from vanishgrad.config.plan import without_hydra
from vanishgrad.config.setting import to_setting
from vanishgrad.errors import SettingError
from vanishgrad.report.labels import counted
from vanishgrad.training import Result, check, train


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
            with progress_bar(self.console) as observe, Interruption() as stop:
                self.result = train(
                    setting.effective, _folder(), provenance=setting.provenance(provenance),
                    observe=stop.observing(observe),
                )  # fmt: skip
        except Exception as error:
            self.error = error


@dataclass
class SweepJob:
    """Trains one job of a sweep and prints a line about it. A failed job is a line too: the others go on.

    Arguments:
        common: overrides that every job has, and that are left out of its label.
        width: characters of the longest label.
    """

    common: set[str] = field(default_factory=set)
    width: int = 0

    def validate(self, jobs: Sequence[DictConfig]) -> None:
        """Refuse the sweep when one of its `jobs` cannot run; told before the first one starts."""
        overrides = [_typed(job.hydra.overrides.task) for job in jobs]
        counts = Counter(override for job in overrides for override in set(job))
        self.common = {override for override, count in counts.items() if count == len(jobs) > 1}
        self.width = max((len(self._label(job)) for job in overrides), default=0)
        refused = [
            (job, reason) for job, config in zip(overrides, jobs, strict=True) if (reason := _refusal(config))
        ]
        if refused:
            job, reason = refused[0]
            others = f" ({len(refused)} of {len(jobs)} jobs are refused)" if len(refused) > 1 else ""
            raise SettingError(f"{_named(job, reason)}{others}")
        print(counted(len(jobs), "run"), flush=True)

    def __call__(self, config: DictConfig) -> None:
        overrides = _overrides()
        head = f"{HydraConfig.get().job.num:>3}  {self._label(overrides):<{self.width}}  "
        try:
            setting = to_setting(config)
            with Interruption() as stop:
                result = train(
                    setting.effective, _folder(), provenance=setting.provenance(overrides),
                    observe=stop.observing(None),
                )  # fmt: skip
        except Exception as error:
            print(f"{head}failed: {type(error).__name__}: {error}", flush=True)
        else:
            print(f"{head}{_line(result)}", flush=True)

    def _label(self, overrides: Sequence[str]) -> str:
        return " ".join(override for override in overrides if override not in self.common)


def _named(job: Sequence[str], reason: str) -> str:
    """The reason behind the overrides of the job, unless it begins with one of them."""
    known = any(reason.startswith((f"{override}:", f"{override} ")) for override in job)
    return reason if known else f"{' '.join(job)}: {reason}"


def _line(result: Result) -> str:
    """`completed  accuracy 0.917  slope +0.021`; what is not finite is left out."""
    from vanishgrad.cli.meaning import flow  # reading tables can wait until there is one
    from vanishgrad.cli.saved import saved

    at = result.diverged_at
    told = [result.status if at is None else f"diverged at step {at['step']}"]
    accuracy, loss = result.final.get("val_accuracy"), result.final.get("val_loss")
    numbers = {
        "accuracy {:.3f}": accuracy,
        "loss {:.4g}": loss if accuracy is None else None,
        "bits per character {:.3f}": result.final.get("bits_per_character"),
        "slope {:+.3f}": flow(saved(result), end=False).slope,
    }
    told += [form.format(x) for form, x in numbers.items() if x is not None and math.isfinite(x)]
    return "  ".join(told)


def checked(config: DictConfig) -> None:
    """Refuse a composed configuration that cannot run here.

    Raises:
        SettingError: for a setting that makes no sense, and for one that torch has no room for.
    """
    run = to_setting(without_hydra(config)).effective
    try:
        check(run)
    except (MemoryError, OverflowError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise SettingError(f"this machine cannot set up the run: {reason}") from None


def _refusal(config: DictConfig) -> str | None:
    """Why the job `config` cannot run."""
    try:
        checked(config)
    except SettingError as error:
        return str(error)
    return None


def _overrides() -> list[str]:
    return _typed(HydraConfig.get().overrides.task)


def _typed(overrides: Sequence[str]) -> list[str]:
    return [as_typed(override) for override in overrides]


def _folder() -> Path:
    return Path(HydraConfig.get().runtime.output_dir)
