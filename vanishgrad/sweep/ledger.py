"""The record of a sweep: what was asked for, and a line for every run that has ended."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vanishgrad.description import describe
from vanishgrad.errors import SettingError, one_of, require
from vanishgrad.records import (
    CHECKPOINT_FILE,
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
from vanishgrad.sweep.job import Job, Outcome
from vanishgrad.training.provenance import versions

SHOWN = 5  # differences in a message
ENDED = ("completed", "diverged", "failed")
RETRIES = ("failed", "diverged")


def begin(folder: Path, jobs: Sequence[Job]) -> None:
    """Write sweep.json: every job with its setting."""
    record = {"schema_version": SCHEMA_VERSION, "versions": versions(), "jobs": list(map(_entry, jobs))}
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / SWEEP_FILE, json.dumps(strict(record), indent=1, allow_nan=False).encode())


def _entry(job: Job) -> dict[str, Any]:
    """A job as sweep.json has it, after the round trip through JSON."""
    entry = {
        "number": job.number,
        "folder": job.folder.name,
        "label": job.label,
        "setting": describe(job.run),
    }
    found: dict[str, Any] = json.loads(json.dumps(strict(entry)))
    return found


def append(folder: Path, outcome: Outcome) -> None:
    """Add a line to runs.jsonl, in one write that has reached the disk on return.

    After a line that a power cut has torn it begins a new one.
    """
    line = json.dumps(strict(asdict(outcome)), allow_nan=False) + "\n"
    descriptor = os.open(folder / SWEEP_RUNS_FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        os.write(descriptor, (b"\n" if torn else b"") + line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def outcomes(folder: Path) -> dict[int, Outcome]:
    """How the runs of a sweep ended, by number; the last line of a number counts."""
    return {outcome.number: outcome for outcome in Follower(folder).new()}


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
            with self._path.open("rb") as file:
                file.seek(self._place)
                text = file.read()
        except FileNotFoundError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._place += len(whole)
        return [found for line in whole.splitlines() if (found := _outcome(line)) is not None]


def _outcome(line: bytes) -> Outcome | None:
    try:
        found = json.loads(line)
        metrics = {name: None if x is None else float(x) for name, x in found["metrics"].items()}
        return Outcome(**{**found, "metrics": metrics})
    except (ValueError, TypeError, KeyError):
        return None


def reopen(folder: Path, jobs: Sequence[Job], retry: str | None) -> list[Job]:
    """The jobs that are left to do of a sweep that was stopped.

    Those are the ones without an outcome or whose folder says otherwise, and with `retry` the failed or the
    diverged ones. A run that ended in the moment before its line was written is given its line now.

    Raises:
        SettingError: when the folder holds no sweep, or one of other settings.
    """
    if retry is not None:
        one_of("sweep.retry", retry, RETRIES)
    recorded = _recorded(folder)
    _refuse_change(folder, recorded["jobs"], list(map(_entry, jobs)))
    if recorded["versions"] != versions():
        then, now = recorded["versions"], versions()
        changed = ", ".join(
            f"{name} {then.get(name)} -> {now[name]}" for name in now if then.get(name) != now[name]
        )
        warnings.warn(f"sweep.resume={folder}: begun with other versions: {changed}", stacklevel=2)
    done = outcomes(folder)
    return [job for job in jobs if _left(folder, job, done, retry)]


def _recorded(folder: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / SWEEP_FILE).read_text())
    except FileNotFoundError:
        raise SettingError(
            f"sweep.resume={folder}: has no {SWEEP_FILE}; must be the folder of a sweep"
        ) from None
    except (OSError, ValueError) as error:
        raise SettingError(f"sweep.resume={folder}: {SWEEP_FILE} is not readable: {error}") from None
    return found


def _refuse_change(folder: Path, then: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> None:
    """Refuse jobs other than those recorded, with the difference."""
    require(
        len(then) == len(now),
        f"sweep.resume={folder}: the sweep has {len(then)} runs, this command asks for {len(now)}",
    )
    found = [
        f"job {old['number']}: {key} {_shown(old['setting'].get(key))} -> {_shown(value)}"
        for old, new in zip(then, now, strict=True)
        for key, value in new["setting"].items()
        if old["setting"].get(key) != value
    ]
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    require(not found, f"sweep.resume={folder}: has other settings: {'; '.join(found[:SHOWN])}{more}")


def _shown(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    parameters = ", ".join(f"{key}={item}" for key, item in value.items() if key != "name")
    return f"{value['name']}({parameters})"


def _left(folder: Path, job: Job, done: Mapping[int, Outcome], retry: str | None) -> bool:
    """Whether a job is to be done, or done again."""
    outcome = done.get(job.number)
    record = _record(job.folder)
    status = None if record is None else record["status"]
    if outcome is None and record is not None and status in ("completed", "diverged"):
        append(folder, _recovered(job, record))
        return status == retry
    if outcome is not None and outcome.status == "failed":
        return retry == "failed"
    return outcome is None or outcome.status not in ENDED or status != outcome.status or status == retry


def _record(folder: Path) -> dict[str, Any] | None:
    try:
        return read_run(folder)
    except UnreadableRun:
        return None


def _recovered(job: Job, record: Mapping[str, Any]) -> Outcome:
    at = record["diverged_at"]
    return Outcome(
        job.number, record["status"], record["seconds"], record["metrics"]["final"], record["steps"],
        None if at is None else at["step"],
    )  # fmt: skip


def clear(job: Job) -> None:
    """Empty the folder of a run that is done again of what the run wrote beside its tables."""
    if job.folder.is_dir():
        clear_optional(job.folder)
        (job.folder / CHECKPOINT_FILE).unlink(missing_ok=True)


def interrupt(job: Job) -> None:
    """Say of a run whose process was stopped that it was interrupted."""
    record = _record(job.folder)
    if record is not None and record["status"] == "running":
        write_run(job.folder, record | {"status": "interrupted"})
