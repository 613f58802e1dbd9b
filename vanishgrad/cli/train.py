"""`vanishgrad train`."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from vanishgrad.cli.arguments import PREFIX, SweepOptions, overwrite_option, sweep_options
from vanishgrad.cli.hydra_app import CommandLine, command_line, folder_of, run_hydra
from vanishgrad.cli.jobs import SingleRun, SweepJob, checked_setting, tell_end
from vanishgrad.cli.terminal import notes
from vanishgrad.config.batch import batch_of
from vanishgrad.config.grammar import quoted
from vanishgrad.config.overrides import normalised
from vanishgrad.config.plan import Composition, is_search, loader, plan_of, understood
from vanishgrad.errors import SettingError, WriteError, error_line, require
from vanishgrad.folders import granted, vacate
from vanishgrad.records import CHECKPOINT_FILE, SWEEP_FILE
from vanishgrad.sweeps.places import make_room, refuse_shared

OWN_LAUNCHERS = "hydra_plugins.vanishgrad_launcher."


def train(arguments: Sequence[str]) -> int:
    """Train a run or a sweep; the exit status is 1 when a run failed."""
    typed = command_line(arguments)
    with notes():
        if (folder := _resumed(typed)) is not None:
            return _resume(folder, trust=bool(typed.search))
        if typed.shows:
            return _show(typed)
        overwrite, overrides = overwrite_option(typed.overrides)
        options, overrides = sweep_options(overrides, typed.verbose)
        plan = plan_of(overrides, typed.multirun, typed.search)
        _check_use(plan, typed)
        return _sweep(plan, typed, options, overwrite) if plan.swept else _single(plan, typed, overwrite)


def _check_use(plan: Composition, typed: CommandLine) -> None:
    """Refuse what says how a sweep is run where there is none, and tell of what only a search looks at."""
    of_sweep = [text for text in typed.overrides if text.startswith(PREFIX)] + ["-v"] * typed.verbose
    require(plan.swept or not of_sweep, f"{' '.join(of_sweep)}: is for a sweep; add -m, or leave it out")
    for text in plan.overrides:
        if text.startswith("objective=") and not is_search(plan.config):
            warnings.warn(
                f"{text}: has no effect; it is what a search looks at, hydra/sweeper=optuna", stacklevel=2
            )


def _resumed(typed: CommandLine) -> Path | None:
    """The folder of `resume=DIR`, which goes on with the setting that the run has."""
    key = "resume="
    named = [text for text in typed.overrides if text.startswith(key)]
    if not named:
        return None
    own = [
        text for text in typed.flags if not text.startswith("--config-dir") and text != typed.given.config_dir
    ]
    others = [text for text in typed.overrides if text not in named[:1]] + own
    require(
        not others, f"{named[0]}: goes on with the setting that the run has; leave out {' '.join(others)}"
    )
    folder = named[0].removeprefix(key).strip("'\"")
    require(folder != "", "resume=: must be the folder of a run")
    return Path(folder).expanduser()


def _resume(folder: Path, trust: bool) -> int:
    from vanishgrad.cli.progress import Interruption, progress_bar
    from vanishgrad.cli.run_table import show_run
    from vanishgrad.engine import resume

    console = _console()
    try:
        with _interruptible(folder), progress_bar(console) as observe, Interruption() as stop:
            result = resume(folder, observe=stop.observing(observe), trust=trust)
    except SettingError:
        raise
    except Exception as error:
        return _failed([f"{folder}: {error_line(error)}"], error)
    show_run(console, result, folder)
    return 0


def _show(typed: CommandLine) -> int:
    with loader() as load:
        overrides = normalised(understood(typed.overrides, load, typed.search))
    run_hydra(lambda config: None, overrides, typed.flags)
    return 0


def _single(plan: Composition, typed: CommandLine, overwrite: bool) -> int:
    tell_end(checked_setting(plan.config).effective, plan.overrides)
    task = SingleRun(_console())
    with folder_of(plan, "run", overwrite=overwrite) as folder, _interruptible(folder):
        if overwrite:
            vacate(folder, "run")
        run_hydra(task, [*plan.overrides, _directory("hydra.run.dir", folder)], typed.flags)
        if isinstance(task.error, SettingError):
            raise task.error
    if task.error is not None:
        return _failed([f"{folder}: {error_line(task.error)}"], task.error)
    from vanishgrad.cli.run_table import show_run

    assert task.result is not None
    show_run(task.console, task.result, folder)
    return 0


def _sweep(plan: Composition, typed: CommandLine, options: SweepOptions, overwrite: bool) -> int:
    task = SweepJob(options, overwrite)
    resumed = options.resume is not None
    require(
        not (resumed and overwrite), f"overwrite=true: sweep.resume={options.resume} goes on; leave out one"
    )
    by_others = not plan.config.hydra.launcher._target_.startswith(OWN_LAUNCHERS)
    jobs = batch_of(plan) if by_others else []
    if jobs:
        task.validate(jobs, plan.config.hydra.sweeper)
    if options.resume is not None:
        plan = replace(plan, folder=options.resume, dated=False)
    key = "sweep.resume" if resumed else None
    with (
        folder_of(plan, "sweep", key, overwrite=overwrite, resumed=resumed) as folder,
        _interruptible(folder, typed),
    ):
        task.own = granted()
        places = [folder / job.subdir for job in jobs]
        refuse_shared(folder, places)
        if by_others:
            make_room(folder, places, overwrite=overwrite)
        run_hydra(task, [*plan.overrides, _directory("hydra.sweep.dir", folder)], typed.flags)
    from vanishgrad.cli.sweep_table import failures, show_sweep

    unwritten: list[str] = []
    try:
        show_sweep(_console(), folder)
    except WriteError as error:
        unwritten = [str(error)]
    task.show_failures(_console())
    failed = [*failures(folder, task.failures), *unwritten]
    return _failed(failed) if failed else 0


def _console() -> Console:
    return Console(highlight=False, soft_wrap=False)


def _directory(key: str, folder: Path) -> str:
    """An override that sets a folder, whatever its name."""
    return f"{key}={quoted(str(folder))}"


@contextmanager
def _interruptible(folder: Path, sweep: CommandLine | None = None) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        on = f"; go on with: {again}" if (again := _again(folder, sweep)) else ""
        raise KeyboardInterrupt(f"; what was measured so far is in {folder}{on}") from None


def _again(folder: Path, sweep: CommandLine | None) -> str:
    """The command that goes on with what is in `folder`; empty where none can."""
    if (folder / SWEEP_FILE).exists() and sweep is not None:
        typed = [
            text
            for text in (*sweep.flags, *sweep.overrides)
            if not text.startswith(("sweep.resume=", "overwrite="))
        ]
        return shlex.join(["vanishgrad", "train", *typed, f"sweep.resume={folder}"])
    return f"vanishgrad train resume={folder}" if (folder / CHECKPOINT_FILE).exists() else ""


def _failed(failures: Sequence[str], error: Exception | None = None) -> int:
    """Tell of failed runs; with the traceback for those who asked Hydra for full errors."""
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    if error is not None and os.environ.get("HYDRA_FULL_ERROR") == "1":
        traceback.print_exception(error)
    return 1
