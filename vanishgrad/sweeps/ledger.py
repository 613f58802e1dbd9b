"""The record of a sweep: what was asked for, and a line for every run that has ended."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

from vanishgrad.description import describe, describe_choice, described_fields
from vanishgrad.engine.recorder import versions
from vanishgrad.errors import SettingError, require, short
from vanishgrad.files import append_whole, replace_file, writing
from vanishgrad.folders import last_words, one_at_a_time
from vanishgrad.records import SCHEMA_VERSION, SWEEP_FILE, SWEEP_RUNS_FILE, numbers, strict, strict_json
from vanishgrad.schema import MEGABYTE, OUTCOME, SWEEP, Fault, checked, content, opened, parsed
from vanishgrad.sweeps.job import Job, Outcome

TAKEN_BACK = "interrupted"
LARGEST = 2**30  # bytes of sweep.json, and of runs.jsonl
LONGEST = 16 * MEGABYTE  # bytes of a line
KEY = "sweep.resume"  # what the folder of a sweep is typed as


def begin(folder: Path, jobs: Sequence[Job], overrides: Sequence[str] = ()) -> None:
    """Write sweep.json: every job with its setting. Lines that another sweep left in the folder go.

    Arguments:
        folder: of the sweep.
        jobs: all of them, or the first batch of a sweeper that hands them over in batches.
        overrides: what was typed.
    """
    with writing(folder):
        (folder / SWEEP_RUNS_FILE).unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
    record = {
        "schema_version": SCHEMA_VERSION, "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(), "overrides": list(overrides), "batches": [], "jobs": [],
    }  # fmt: skip
    _write(folder, record, jobs)


def extend(folder: Path, jobs: Sequence[Job]) -> None:
    """Add the next batch to sweep.json."""
    _write(folder, recorded(folder), jobs)


def _write(folder: Path, record: Mapping[str, Any], jobs: Sequence[Job]) -> None:
    """Write sweep.json with a further batch of jobs."""
    head = {**record, "batches": [*record["batches"], len(jobs)], "jobs": []}
    before = [_text(entry, 2) for entry in record["jobs"]]
    entries = ",\n  ".join([*before, *_entry_texts(folder, jobs)])
    listed = f"[\n  {entries}\n ]" if entries else "[]"
    content = _text(head).removesuffix("[]\n}") + listed + "\n}"
    replace_file(folder / SWEEP_FILE, content.encode(), durable=True)


def _entry_texts(folder: Path, jobs: Sequence[Job]) -> Iterator[str]:
    """The text of `entry_of` of each, written more quickly: jobs share most of their values."""
    written: dict[int, tuple[Any, str]] = {}  # the value too, whose address stays its own as long as it lives

    def text(value: Any) -> str:
        if id(value) not in written:
            plain = describe_choice(value) if is_dataclass(value) else value
            written[id(value)] = value, _text(plain, 4)
        return written[id(value)][1]

    for job in jobs:
        place = [f'"{key}": {_text(value, 3)}' for key, value in _place(folder, job).items()]
        setting = [f'"{key}": {text(value)}' for key, value in described_fields(job.run).items()]
        yield _object([*place, f'"setting": {_object(setting, 3)}'], 2)


def _text(value: Any, level: int = 0) -> str:
    return strict_json(value, 1, ascii_only=True, level=level)


def _object(entries: Sequence[str], level: int) -> str:
    """A JSON object that stands so far inside others, of the texts of its entries."""
    between = ",\n" + " " * (level + 1)
    return "{" + between[1:] + between.join(entries) + "\n" + " " * level + "}"


def _relative(path: Path, folder: Path) -> str:
    """The way from a folder to a path, which is below it as a rule."""
    text, above = path.as_posix(), f"{folder.as_posix()}/"
    below = text.removeprefix(above)
    if below == text or ".." in below:
        return Path(os.path.relpath(path, folder)).as_posix()
    return below


def recorded(folder: Path, key: str = KEY) -> dict[str, Any]:
    """sweep.json.

    Arguments:
        folder: of the sweep.
        key: what it was given as, for messages.

    Raises:
        SettingError: when there is none, or it is not readable.
    """
    path = f"{key}={folder}"
    try:
        record: dict[str, Any] = checked(content(folder / SWEEP_FILE, LARGEST), SWEEP)
    except FileNotFoundError:
        raise SettingError(f"{path}: has no {SWEEP_FILE}; must be the folder of a sweep") from None
    except Fault as fault:
        raise SettingError(f"{path}: {fault.of(SWEEP_FILE)}") from None
    whole = sum(record["batches"]) == len(record["jobs"])
    require(whole, f"{path}: {SWEEP_FILE}: batches and jobs do not agree on how many runs there are")
    return record


def entry_of(folder: Path, job: Job) -> dict[str, Any]:
    """A job as sweep.json has it, and as it reads back."""
    plain: dict[str, Any] = strict({**_place(folder, job), "setting": describe(job.run)})
    return plain


def _place(folder: Path, job: Job) -> dict[str, Any]:
    """The entry of a job but for its setting."""
    return {
        "number": job.number,
        "folder": _relative(job.folder, folder),
        "label": job.label,
        "overrides": job.provenance.overrides,
    }


def append(folder: Path, outcome: Outcome) -> None:
    """Add a line to runs.jsonl, whole or not at all.

    After a line that a power cut has torn it begins a new one. One that a power cut has taken is no loss: the
    folder of its run says as much.

    Raises:
        WriteError: when the disk does not take it.
    """
    line = json.dumps(strict(asdict(outcome)), allow_nan=False).encode() + b"\n"
    path = folder / SWEEP_RUNS_FILE
    # One at a time, or what is taken back could be another's line.
    with writing(path), open(path, "ab+", buffering=0) as file, one_at_a_time(file.fileno()):
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        new = line if file.read(1) in (b"", b"\n") else b"\n" + line
        append_whole(file.fileno(), new, size)


class Teller:
    """Adds lines to runs.jsonl; what a full disk does not take is told again with the next.

    Arguments:
        folder: of the sweep.
        untold: what could not be told so far.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self.untold = folder, list[Outcome]()

    def __call__(self, outcome: Outcome) -> None:
        self.untold.append(outcome)
        self.retry()

    def retry(self) -> None:
        """Tell what has not been told."""
        while self.untold and last_words(self._folder, partial(append, self._folder, self.untold[0])):
            del self.untold[0]

    def close(self) -> None:
        """Tell the rest.

        Raises:
            WriteError: when that cannot be written.
        """
        self.retry()
        for outcome in self.untold:
            append(self._folder, outcome)


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
        """The outcomes since the last call; a torn line is no outcome.

        Raises:
            SettingError: for a line that no sweep wrote.
        """
        try:
            found = list[Outcome]()
            with opened(self._path, LARGEST) as file:
                file.seek(self._place)
                for line in _lines(file):
                    outcome = _outcome(line.removesuffix(b"\n"))
                    if line.endswith(b"\n"):  # else it is read when it has its end
                        self._place += len(line)
                        found += [] if outcome is None else [outcome]
            return found
        except FileNotFoundError:
            return []
        except Fault as fault:
            raise SettingError(f"{self._path.parent}: {fault.of(SWEEP_RUNS_FILE)}") from None


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    """Each with its end; the last one may have none yet."""
    while line := file.readline(LONGEST + 1):
        if len(line) > LONGEST:
            raise Fault(f"has a line of more than {LONGEST // MEGABYTE} MB, which no sweep wrote")
        yield line


BEGINS = b'{"number": '  # every line


def _outcome(line: bytes) -> Outcome | None:
    """The outcome that a line tells; None of an empty one, and of one that a kill or a power cut has torn."""
    if not line.strip(b"\0 \r"):
        return None
    torn = line.startswith(BEGINS) or BEGINS.startswith(line)
    try:
        fields = parsed(line)
        torn = False
        OUTCOME.check(fields, "")
    except Fault as fault:
        if torn:
            return None
        said = short(line.decode(errors="replace"))
        raise Fault(f"has a line that no sweep wrote, {said}: it {fault}") from None
    known = {name: value for name, value in fields.items() if name in Outcome.__dataclass_fields__}
    return Outcome(**known | {"seconds": float(fields["seconds"]), "metrics": numbers(fields["metrics"])})
