"""What a folder holds that a command could destroy, and taking it away where that is meant."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vanishgrad.folders.lock import LOCK_FILE
from vanishgrad.records import (
    CHECKPOINT_FILE,
    CLAIMS_FILE,
    CURE_FILE,
    GRADIENTS_FILE,
    LOG_FILE,
    METRICS_FILE,
    RUN_FILE,
    SNAPSHOTS,
    SUMMARY_FILE,
    SWEEP_FILE,
    SWEEP_RUNS_FILE,
    UnreadableRun,
    clear_optional,
    read_run,
)

Kind = Literal["run", "sweep"]
ENDED = ("completed", "diverged")
WRITTEN = (RUN_FILE, GRADIENTS_FILE, METRICS_FILE, CHECKPOINT_FILE, LOG_FILE)  # what says it has ended first
OF_A_RUN = (RUN_FILE, GRADIENTS_FILE, METRICS_FILE, CHECKPOINT_FILE)
HYDRAS = (".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml")  # of a run
MULTIRUN = "multirun.yaml"  # what Hydra leaves of a sweep, before its first run
OF_A_SWEEP = (SWEEP_FILE, SWEEP_RUNS_FILE, SUMMARY_FILE)
PARTIAL = r"\.\w+\.[a-z]+\.\d+"  # what a kill inside `replace_file` leaves
LEFT = re.compile(rf"\d+\.pt|{PARTIAL}")  # snapshots too


@dataclass(frozen=True)
class Found:
    """What a folder holds.

    Arguments:
        kind: a run or a sweep; what another of its kind may take the place of. None for anything else.
        words: what it is.
        on: the words that go on with it; empty where there is no going on.
    """

    kind: Kind | None
    words: str
    on: str = ""


def found_in(folder: Path) -> Found | None:
    """What is in `folder` that a run or a sweep there would destroy; None where nothing is."""
    if (folder / CURE_FILE).exists():
        return Found(None, "a cure")
    if is_sweep(folder):
        on = f"sweep.resume={folder}" if (folder / SWEEP_FILE).exists() else ""
        return Found("sweep", "a sweep", on)
    if is_run(folder):
        return _run_in(folder)
    if (folder / CLAIMS_FILE).exists():
        return Found(None, "chapters of the lab")
    return None


def is_run(folder: Path) -> bool:
    return any((folder / file).exists() for file in OF_A_RUN)


def is_sweep(folder: Path) -> bool:
    """Also where another launcher than ours has trained the runs."""
    if any((folder / file).exists() for file in OF_A_SWEEP):
        return True
    return (folder / MULTIRUN).exists() and any(is_run(path) for path in folder.iterdir() if path.is_dir())


def _run_in(folder: Path) -> Found:
    try:
        status = str(read_run(folder)["status"])
    except UnreadableRun:
        return Found("run", "a run")
    words = f"{'an' if status[0] in 'aeiou' else 'a'} {status} run"
    if status == "running":  # nobody is: its folder is not in use
        words = "a run that was killed"
    goes_on = status not in ENDED and (folder / CHECKPOINT_FILE).exists()
    return Found("run", words, f"vanishgrad train resume={folder}" if goes_on else "")


def is_empty(folder: Path) -> bool:
    """Whether nothing is in `folder`, or nothing but its lock."""
    return all(path.name == LOCK_FILE for path in folder.iterdir())


def vacate(folder: Path, kind: Kind) -> None:
    """Take away the files of the run or the sweep that `folder` holds, and nothing else."""
    if kind == "run":
        _vacate_run(folder)
        return
    for run in _runs_of(folder):
        _vacate_run(run)
        _remove_empty(run)
    for file in (*OF_A_SWEEP, MULTIRUN):
        (folder / file).unlink(missing_ok=True)


def _runs_of(folder: Path) -> list[Path]:
    """The run folders of a sweep: those that it has recorded, else those that are there."""
    try:
        jobs = json.loads((folder / SWEEP_FILE).read_text(encoding="utf-8"))["jobs"]
        runs = [folder / str(job["folder"]) for job in jobs]
    except (OSError, ValueError, KeyError, TypeError):
        runs = [path for path in folder.iterdir() if path.is_dir() and is_run(path)]
    whole = os.path.realpath(folder)
    return [run for run in runs if Path(os.path.realpath(run)).parent.is_relative_to(whole)]


def _vacate_run(folder: Path) -> None:
    """Take away the files of a run, and what Hydra recorded of it."""
    clear_run(folder)
    for file in HYDRAS:
        (folder / file).unlink(missing_ok=True)
    _remove_empty((folder / HYDRAS[0]).parent)


def clear_run(folder: Path) -> None:
    """Take away the files of a run, but not what was there before it began."""
    for file in WRITTEN:
        (folder / file).unlink(missing_ok=True)
    clear_optional(folder)
    snapshots = folder / SNAPSHOTS
    for path in (*folder.glob(".*"), *snapshots.glob("*")):
        if path.is_file() and LEFT.fullmatch(path.name):
            path.unlink()
    _remove_empty(snapshots)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # absent, or there is something else in it
        folder.rmdir()
