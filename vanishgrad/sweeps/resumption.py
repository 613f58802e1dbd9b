"""Going on with a sweep that was stopped: what is left to do, and whether it is the same sweep."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch

from vanishgrad.description import changed_keys
from vanishgrad.engine.recorder import first_record, versions
from vanishgrad.errors import one_of, require
from vanishgrad.files import writing
from vanishgrad.folders import last_words, tidy_lock
from vanishgrad.folders.content import MULTIRUN, PARTIAL
from vanishgrad.folders.lock import LOCK_FILE
from vanishgrad.records import (
    CHECKPOINT_FILE,
    GRADIENTS_FILE,
    METRICS_FILE,
    UnreadableRun,
    as_number,
    numbers,
    read_run,
    write_run,
)
from vanishgrad.sweeps.job import Job, Outcome
from vanishgrad.sweeps.ledger import (
    KEY,
    TAKEN_BACK,
    append,
    begin,
    entry_of,
    extend,
    outcomes,
    recorded,
)
from vanishgrad.sweeps.numbers import summary_in

JOBS, KEYS = 3, 4  # as many are shown
ORPHANS = 20.0  # seconds in which processes end whose sweep was killed

Entry = Mapping[str, Any]


def changes(then: Sequence[Entry], now: Sequence[Entry]) -> str:
    """`job 3: lr 0.1 -> 0.2, act tanh -> relu; and 12 more jobs`; empty where nothing has changed.

    Arguments:
        then: the jobs of a sweep as sweep.json has them, each with its number, folder and setting.
        now: as many others.
    """
    changed = {old["number"]: _of_job(old, new) for old, new in zip(then, now, strict=True)}
    lines = [f"job {number}: {_first(keys, KEYS, ', ')}" for number, keys in changed.items() if keys]
    return _first(lines, JOBS, "; ", " jobs")


def _of_job(old: Entry, new: Entry) -> list[str]:
    moved = old["folder"] != new["folder"]
    folder = [f"folder {old['folder']} -> {new['folder']}"] if moved else []
    return folder + changed_keys(old["setting"], new["setting"])


def _first(parts: Sequence[str], count: int, between: str, unit: str = "") -> str:
    rest = len(parts) - count
    return between.join([*parts[:count], *([f"and {rest} more{unit}"] if rest > 0 else [])])


RESULTS = ("completed", "diverged")
RETRIES = ("failed", "diverged")
ENDED_WITH = (GRADIENTS_FILE, METRICS_FILE, CHECKPOINT_FILE)  # what a run that has ended has written
BEFORE = (MULTIRUN, LOCK_FILE)  # what is there before a sweep is recorded

Measures = Callable[[Path], dict[str, float | None]]


def reopen(
    folder: Path, jobs: Sequence[Job], retry: str | None, measures: Measures | None = None,
    overrides: Sequence[str] = (), key: str = KEY,
) -> list[Job]:  # fmt: skip
    """The jobs that are left to do of a sweep that was stopped.

    Those are the ones without an outcome or whose folder says otherwise, and with `retry` the failed or the
    diverged ones; their outcomes are taken back. A run that ended in the moment before its line was written
    is given its line now. A sweep that was stopped before it was recorded, or before this batch was, is
    recorded now.

    Arguments:
        folder: of the sweep.
        jobs: all of them, or the next batch of a sweeper that hands them over in batches.
        retry: failed, diverged or None.
        measures: gives the final numbers of a run folder that run.json does not have.
        overrides: what was typed.
        key: what the folder was given as, for messages.

    Raises:
        SettingError: when the folder holds no sweep, or one of other jobs, or one of them is still trained.
    """
    if retry is not None:
        one_of("sweep.retry" if key == KEY else "retry", retry, RETRIES)
    if _is_new(folder):
        begin(folder, jobs, overrides)
    record, done = recorded(folder, key), outcomes(folder)
    _tidy(folder)
    first = jobs[0].number if jobs else 0
    if 0 < first == len(record["jobs"]):
        extend(folder, jobs)
        return list(jobs)
    now = [entry_of(folder, job) for job in jobs]
    _compare(f"{key}={folder}", record, now, first)
    _await_orphans(f"{key}={folder}", jobs)
    read = measures or _nothing
    asked = zip(jobs, now, strict=True)
    return [job for job, entry in asked if _is_left(folder, job, entry, done.get(job.number), retry, read)]


def _is_new(folder: Path) -> bool:
    """Whether a sweep was stopped here before it was recorded: nothing but what comes before is there."""
    return folder.is_dir() and all(
        path.name in BEFORE or re.fullmatch(PARTIAL, path.name) for path in folder.iterdir()
    )


def _tidy(folder: Path) -> None:
    """Take away half-written files of the sweep itself."""
    for path in folder.glob(".*"):
        if path.is_file() and re.fullmatch(PARTIAL, path.name):
            path.unlink()


def _await_orphans(place: str, jobs: Sequence[Job]) -> None:
    """Wait until the last process of the sweep that was stopped is gone; what it had locked is free then."""
    until = time.monotonic() + ORPHANS
    for job in jobs:
        while (holder := tidy_lock(job.folder)) is not None:
            require(
                time.monotonic() < until, f"{place}: {holder} still trains run {job.number}; end it first"
            )
            time.sleep(0.05)


def _compare(place: str, record: Mapping[str, Any], now: Sequence[Mapping[str, Any]], first: int) -> None:
    """Refuse a batch that is not the one recorded from job `first` on; `place` is as the folder was typed."""
    counts = record["batches"]
    begins = accumulate(counts, initial=0)
    count = dict(zip(begins, counts, strict=False)).get(first, 0)
    what = "the sweep" if len(counts) == 1 else f"its batch from run {first} on"
    require(
        count == len(now),
        f"{place}: {what} has {count} runs, now {len(now)} are asked for",
    )
    changed = changes(record["jobs"][first : first + count], now)
    seed = "" if len(counts) == 1 else "; a search goes on only if its sampler has the seed that it had"
    require(not changed, f"{place}: was begun with other settings: {changed}{seed}")
    if first == 0 and (other := ", ".join(changed_keys(record["versions"], versions()))):
        warnings.warn(f"{place}: was begun with other versions: {other}", stacklevel=3)


def _is_left(
    folder: Path, job: Job, entry: Mapping[str, Any], outcome: Outcome | None, retry: str | None,
    measures: Measures,
) -> bool:  # fmt: skip
    """Whether a job is to be done, or done again."""
    record = _record(job)
    if record is not None and changed_keys(record.get("effective") or {}, entry["setting"]):
        record = None  # of an earlier sweep in the same folder
    if record is not None and any(map(_is_hollow, (job.folder / file for file in ENDED_WITH))):
        record = None
    status = None if record is None else record["status"]
    if outcome is None and record is not None and status in RESULTS:
        outcome = _recovered(job, record, measures)
        append(folder, outcome)
    if outcome is None:
        return True
    lost = outcome.status in RESULTS and outcome.status != status
    if not lost and outcome.status != retry:
        return False
    append(folder, Outcome(job.number, TAKEN_BACK, 0.0))  # or a second kill would leave the old end standing
    return True


def _is_hollow(path: Path) -> bool:
    """Whether a power cut took the content of a file, of which it leaves the name."""
    return path.is_file() and not path.stat().st_size


def _record(job: Job) -> dict[str, Any] | None:
    try:
        return read_run(job.folder)
    except UnreadableRun:
        return None


def _recovered(job: Job, record: Mapping[str, Any], measures: Measures) -> Outcome:
    """What the run folder knows of an outcome; of a run in a stack the seconds are those of the stack."""
    at, metrics = record.get("diverged_at"), record.get("metrics") or {}
    final = numbers(metrics.get("final") or {}) | measures(job.folder)
    step, seconds = None if at is None else at["step"], as_number(record.get("seconds"))
    known = summary_in(job.folder, record)
    return Outcome(
        job.number, record["status"], seconds, final, record.get("steps") or 0, step, summary=known
    )


def _nothing(folder: Path) -> dict[str, float | None]:
    return {}


def interrupt(job: Job) -> None:
    """Say of a run whose process was stopped that it was interrupted, where the disk takes that."""
    tidy_lock(job.folder)
    record = _record(job)
    if record is not None and record["status"] == "running":
        record["status"] = "interrupted"
        last_words(job.folder, partial(write_run, job.folder, record))


def fail(job: Job, error: str) -> None:
    """Say of a run whose process died that it failed, also where it had not come to its first record."""
    tidy_lock(job.folder)
    record = _record(job) or first_record(job.run, job.provenance, torch.device("cpu"))
    if record["status"] == "running":
        record |= {"status": "failed", "error": error}
        last_words(job.folder, partial(_write, job.folder, record))


def _write(folder: Path, record: Mapping[str, Any]) -> None:
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_run(folder, record)


def told_by_folder(job: Job, measures: Measures) -> Outcome | None:
    """The outcome of a run that has ended, as its folder has it; None where it has not."""
    record = _record(job)
    return _recovered(job, record, measures) if record is not None and record["status"] in RESULTS else None
