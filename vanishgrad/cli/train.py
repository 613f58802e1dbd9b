"""`vanishgrad train`."""

from __future__ import annotations

import os
import shlex
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from vanishgrad.cli.arguments import OVERWRITE, PREFIX, SweepOptions, overwrite_option, sweep_options
from vanishgrad.cli.hydra_app import CommandLine, command_line, folder_of, has_begun, run_hydra, show_hydra
from vanishgrad.cli.jobs import CHECKING, SingleRun, SweepJob, checked_setting, tell_end
from vanishgrad.cli.terminal import PrintableConsole, notes, say, working
from vanishgrad.config.batch import batch_of
from vanishgrad.config.overrides import normalised
from vanishgrad.config.plan import Composition, is_search, loader, plan_of, understood
from vanishgrad.errors import SettingError, WriteError, error_line, require
from vanishgrad.folders import granted, vacate
from vanishgrad.printing import essential
from vanishgrad.records import CHECKPOINT_FILE, SWEEP_FILE, UnreadableRun, read_run
from vanishgrad.sweeps.places import make_room, refuse_shared

OWN_LAUNCHERS = "hydra_plugins.vanishgrad_launcher."
AGAIN = ("sweep.resume=", "overwrite=")  # what a sweep that goes on is told anew, or not at all


def train(arguments: Sequence[str]) -> int:
    """Train a run or a sweep; the exit status is 1 when a run failed."""
    typed = command_line(arguments)
    with notes():
        if (folder := _resumed(typed)) is not None:
            return _resume(folder, typed)
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


def _resume(folder: Path, typed: CommandLine) -> int:
    from vanishgrad.cli.progress import progress_bar
    from vanishgrad.cli.run_table import show_run
    from vanishgrad.engine import resume

    console = PrintableConsole()
    try:
        with _interruptible(folder, typed), progress_bar(console) as observe:
            result = resume(folder, observe=observe, trust=bool(typed.search))
    except SettingError:
        raise
    except Exception as error:
        return _failed([f"{folder}: {error_line(error)}"], error)
    show_run(console, result, folder)
    return 0


def _show(typed: CommandLine) -> int:
    of_running = [text for text in typed.overrides if text.startswith((PREFIX, f"{OVERWRITE}="))]
    require(
        not of_running, f"{' '.join(of_running)}: is no part of the setting that is shown here; leave it out"
    )
    with loader() as load:
        overrides = normalised(understood(typed.overrides, load, typed.search))
    with essential(), suppress(SystemExit):  # with which Hydra ends after its help
        show_hydra(overrides, typed.flags)
    return 0


def _single(plan: Composition, typed: CommandLine, overwrite: bool) -> int:
    with working("checking the setting and reading its data"):
        setting = checked_setting(plan.config)
    tell_end(setting.effective, plan.overrides)
    task = SingleRun(PrintableConsole())
    with folder_of(plan, "run", overwrite=overwrite) as folder, _interruptible(folder, typed):
        if overwrite:
            vacate(folder, "run")
        run_hydra(task, plan, folder)
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
    with working(CHECKING):
        jobs = batch_of(plan) if by_others else []
    if jobs:
        task.validate(jobs, plan.config.hydra.sweeper)
    if options.resume is not None:
        plan = replace(plan, folder=options.resume, dated=False)
    key = "sweep.resume" if resumed else None
    with (
        folder_of(plan, "sweep", key, overwrite=overwrite, resumed=resumed) as folder,
        _interruptible(folder, typed, swept=True),
        task.sign_of_life,
    ):
        task.own = granted()
        places = [folder / job.subdir for job in jobs]
        refuse_shared(folder, places)
        if by_others:
            make_room(folder, places, overwrite=overwrite)
        run_hydra(task, plan, folder)
    from vanishgrad.cli.sweep_table import failures, failures_of, show_failures, show_sweep

    console, unwritten = PrintableConsole(), list[str]()
    together, outcomes = task.ended
    try:
        show_sweep(console, folder, together, outcomes)
    except WriteError as error:
        unwritten = [str(error)]
    show_failures(console, outcomes, together)
    told = failures_of(folder, together, outcomes) if together else failures(folder)
    failed = [*told, *unwritten]
    return _failed(failed) if failed else 0


@contextmanager
def _interruptible(folder: Path, typed: CommandLine, swept: bool = False) -> Iterator[None]:
    """Say where an interrupted command has left what, and how it goes on."""
    try:
        yield
    except KeyboardInterrupt:
        if not has_begun(folder):
            raise KeyboardInterrupt from None
        on = f"; go on with: {shlex.join(again)}" if (again := _again(folder, typed, swept)) else ""
        raise KeyboardInterrupt(f"; what was measured so far is in {folder}{on}") from None


def _again(folder: Path, typed: CommandLine, swept: bool) -> list[str]:
    """The command that goes on with what is in `folder`; empty where none can."""
    if swept and (folder / SWEEP_FILE).exists():
        kept = [text for text in typed.overrides if not text.startswith(AGAIN)]
        return ["vanishgrad", "train", *typed.flags, *kept, f"sweep.resume={folder}"]
    if not (folder / CHECKPOINT_FILE).exists() or _has_ended(folder):
        return []
    own = [] if typed.given.config_dir is None else ["--config-dir", typed.given.config_dir]
    return ["vanishgrad", "train", *own, f"resume={folder}"]


def _has_ended(folder: Path) -> bool:
    try:
        return read_run(folder)["status"] in ("completed", "diverged")
    except UnreadableRun:
        return False


def _failed(failures: Sequence[str], error: Exception | None = None) -> int:
    """Tell of failed runs; with the traceback for those who asked Hydra for full errors."""
    for failure in failures:
        say(f"failed: {failure}")
    if error is not None and os.environ.get("HYDRA_FULL_ERROR") == "1":
        traceback.print_exception(error)
    return 1
