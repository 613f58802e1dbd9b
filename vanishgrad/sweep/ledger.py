"""The record of a sweep: what was asked for, and a line for every run that has ended."""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vanishgrad.description import describe
from vanishgrad.errors import SettingError, one_of, require
from vanishgrad.records import (
    CHECKPOINT_FILE,
    GRADIENTS_FILE,
    METRICS_FILE,
    RUN_FILE,
    SCHEMA_VERSION,
    SWEEP_FILE,
    SWEEP_RUNS_FILE,
    UnreadableRun,
    clear_optional,
    read_run,
    replace_file,
    strict,
    write_run,
)
from vanishgrad.sweep.comparison import changed_keys, changes
from vanishgrad.sweep.job import Job, Outcome
from vanishgrad.sweep.work import LOG_FILE
from vanishgrad.training.checkpoint import SNAPSHOTS
from vanishgrad.training.provenance import versions

RESULTS = ("completed", "diverged")
RETRIES = ("failed", "diverged")
TAKEN_BACK = "interrupted"
WRITTEN = (RUN_FILE, GRADIENTS_FILE, METRICS_FILE, CHECKPOINT_FILE, LOG_FILE)  # what says it has ended first
LEFT = re.compile(r"\d+\.pt|\.\w+\.[a-z]+\.\d+")  # snapshots, and what a kill inside `replace_file` leaves


def begin(folder: Path, jobs: Sequence[Job], overrides: Sequence[str] = ()) -> None:
    """Write sweep.json: every job with its setting. Lines that another sweep left in the folder go.

    Arguments:
        folder: of the sweep.
        jobs: all of them; a sweeper that searches calls again with those so far and some more.
        overrides: what was typed.
    """
    entries = [_entry(folder, job) for job in jobs]
    earlier = _earlier(folder, entries)
    if earlier is None:
        (folder / SWEEP_RUNS_FILE).unlink(missing_ok=True)
    record = {
        "schema_version": SCHEMA_VERSION,
        "created": earlier["created"] if earlier else datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "overrides": list(overrides),
        "jobs": entries,
    }
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / SWEEP_FILE, json.dumps(record, indent=1, allow_nan=False).encode())


def _earlier(folder: Path, entries: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """sweep.json, if it is that of the same search some jobs ago."""
    try:
        record = _recorded(folder)
    except SettingError:
        return None
    count = len(record["jobs"])
    return record if count < len(entries) and record["jobs"] == entries[:count] else None


def _entry(folder: Path, job: Job) -> dict[str, Any]:
    """A job as sweep.json has it, and as it reads back."""
    entry = {
        "number": job.number,
        "folder": Path(os.path.relpath(job.folder, folder)).as_posix(),
        "label": job.label,
        "overrides": job.provenance.overrides,
        "setting": describe(job.run),
    }
    found: dict[str, Any] = strict(entry)
    return found


def append(folder: Path, outcome: Outcome) -> None:
    """Add a line to runs.jsonl, in one write that has reached the disk on return.

    After a line that a power cut has torn it begins a new one.
    """
    line = json.dumps(strict(asdict(outcome)), allow_nan=False).encode() + b"\n"
    with open(folder / SWEEP_RUNS_FILE, "ab+", buffering=0) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        left = line if file.read(1) in (b"", b"\n") else b"\n" + line
        while left:  # once, unless the disk is full: then the second time says so
            left = left[file.write(left) :]
        os.fsync(file.fileno())


def outcomes(folder: Path) -> dict[int, Outcome]:
    """How runs of a sweep ended, by number; the last line of a number counts.

    A run that was to be done again, and has not ended since, has no outcome.
    """
    last = {outcome.number: outcome for outcome in Follower(folder).new()}
    return {number: outcome for number, outcome in last.items() if outcome.status != TAKEN_BACK}


class Follower:
    """Reads runs.jsonl while it grows.

    Arguments:
        folder: of the sweep.
    """

    def __init__(self, folder: Path) -> None:
        self._path, self._place = folder / SWEEP_RUNS_FILE, 0

    def new(self) -> list[Outcome]:
        """The outcomes since the last call; a torn line is no outcome."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._place)
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._place += len(whole)
        return [found for line in whole.split(b"\n") if (found := _outcome(line)) is not None]


def _outcome(line: bytes) -> Outcome | None:
    try:
        found = json.loads(line)
        return Outcome(**{**found, "metrics": _numbers(found["metrics"])})
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float | None]:
    """Metrics read from JSON, where `nan` and `inf` are strings."""
    return {name: None if value is None else float(value) for name, value in metrics.items()}


def reopen(folder: Path, jobs: Sequence[Job], retry: str | None) -> list[Job]:
    """The jobs that are left to do of a sweep that was stopped.

    Those are the ones without an outcome or whose folder says otherwise, and with `retry` the failed or the
    diverged ones; their outcomes are taken back. A run that ended in the moment before its line was written
    is given its line now.

    Raises:
        SettingError: when the folder holds no sweep, or one of other jobs.
    """
    if retry is not None:
        one_of("sweep.retry", retry, RETRIES)
    record, now = _recorded(folder), [_entry(folder, job) for job in jobs]
    then = record["jobs"]
    require(
        len(then) == len(now),
        f"sweep.resume={folder}: the sweep has {len(then)} runs, this command asks for {len(now)}",
    )
    changed = changes(then, now)
    require(not changed, f"sweep.resume={folder}: was begun with other settings: {changed}")
    if other := ", ".join(changed_keys(record["versions"], versions())):
        warnings.warn(f"sweep.resume={folder}: was begun with other versions: {other}", stacklevel=2)
    done = outcomes(folder)
    left = zip(jobs, now, strict=True)
    return [job for job, entry in left if _is_left(folder, job, entry, done.get(job.number), retry)]


def _recorded(folder: Path) -> dict[str, Any]:
    """sweep.json."""
    path = f"sweep.resume={folder}"
    try:
        found = json.loads((folder / SWEEP_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise SettingError(f"{path}: has no {SWEEP_FILE}; must be the folder of a sweep") from None
    except OSError as error:
        raise SettingError(f"{path}: {SWEEP_FILE} is not readable: {error.strerror}") from None
    except ValueError:
        raise SettingError(f"{path}: {SWEEP_FILE} is not JSON") from None
    whole = isinstance(found, dict) and found.keys() >= {"created", "versions", "jobs"}
    require(whole, f"{path}: {SWEEP_FILE} is not the record of a sweep")
    return dict(found)


def _is_left(
    folder: Path, job: Job, entry: Mapping[str, Any], outcome: Outcome | None, retry: str | None
) -> bool:
    """Whether a job is to be done, or done again."""
    record = _record(job)
    if record is not None and changed_keys(record.get("effective", {}), entry["setting"]):
        record = None  # of an earlier sweep in the same folder
    status = None if record is None else record["status"]
    if outcome is None and record is not None and status in RESULTS:
        outcome = _recovered(job, record)
        append(folder, outcome)
    if outcome is None:
        return True
    lost = outcome.status in RESULTS and outcome.status != status
    if not lost and outcome.status != retry:
        return False
    append(folder, Outcome(job.number, TAKEN_BACK, 0.0))  # or a second kill would leave the old end standing
    return True


def _record(job: Job) -> dict[str, Any] | None:
    try:
        return read_run(job.folder)
    except UnreadableRun:
        return None


def _recovered(job: Job, record: Mapping[str, Any]) -> Outcome:
    """What run.json knows of an outcome: not the slope, and of a run in a stack the seconds of the stack."""
    at = record["diverged_at"]
    return Outcome(
        job.number, record["status"], record["seconds"], _numbers(record["metrics"]["final"]),
        record["steps"], None if at is None else at["step"],
    )  # fmt: skip


def clear(job: Job) -> None:
    """Empty the folder of a run that is done again, but for what no run writes."""
    for file in WRITTEN:
        (job.folder / file).unlink(missing_ok=True)
    clear_optional(job.folder)
    snapshots = job.folder / SNAPSHOTS
    for path in (*job.folder.glob(".*"), *snapshots.glob("*")):
        if path.is_file() and LEFT.fullmatch(path.name):
            path.unlink()
    with suppress(OSError):  # absent, or there is something else in it
        snapshots.rmdir()


def interrupt(job: Job) -> None:
    """Say of a run whose process was stopped that it was interrupted."""
    record = _record(job)
    if record is not None and record["status"] == "running":
        write_run(job.folder, record | {"status": "interrupted"})
