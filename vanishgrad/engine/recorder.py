"""Where a run came from, and the record it begins with."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from vanishgrad.description import answers, describe, fitting_remedies, targets
from vanishgrad.diagnosis import Diagnosis
from vanishgrad.diagnosis.diagnose import examine
from vanishgrad.diagnosis.tables import record_of
from vanishgrad.errors import WriteError, error_line
from vanishgrad.files import writing
from vanishgrad.folders import last_words
from vanishgrad.records import (
    DEAD_UNITS_FILE,
    EXTRA_COLUMNS,
    GRADIENT_COLUMNS,
    GRADIENTS_FILE,
    LAYOUT,
    METRIC_COLUMNS,
    METRICS_FILE,
    SCHEMA_VERSION,
    TIME_GRADIENTS_FILE,
    Cell,
    Table,
    clear_optional,
    read_columns,
    read_metrics,
    write_run,
)
from vanishgrad.rows import Columns
from vanishgrad.run import Run

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Provenance:
    """Where a run came from.

    Arguments:
        choices: the setting before its remedy, as `describe` gives it, and the remedy.
        config: the resolved configuration.
        overrides: what was typed.
        seed: of the run, where others that differ in it alone share choices and config; None for theirs.
    """

    choices: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    seed: int | None = None

    def own(self, shared: Mapping[str, Any]) -> dict[str, Any]:
        """The choices or the config of this run."""
        return {**shared, **({"seed": self.seed} if shared and self.seed is not None else {})}


def first_record(run: Run, provenance: Provenance | None, device: torch.device) -> dict[str, Any]:
    """run.json as it is before the first step; later values replace its own."""
    origin = provenance or Provenance()
    effective = describe(run)
    return {
        "schema_version": SCHEMA_VERSION, "status": "running",
        "choices": origin.own(origin.choices) or effective, "effective": effective,
        "answers": answers(run), "fitting": fitting_remedies(run),
        "config": origin.own(origin.config) or effective, "overrides": origin.overrides, "seed": run.seed,
        "parameters": None, "steps": 0, "seconds": 0.0, "metrics": {"final": {}, "best": {}},
        "targets": targets(run),
        "baseline": baseline(run), "diverged_at": None, "stopped_on": None, "error": None,
        "versions": versions(), "device": str(device),
    }  # fmt: skip


def baseline(run: Run) -> dict[str, Any] | None:
    """What ignorance scores on the data, where that is known and the loss is the data's own."""
    score = run.data.baseline
    comparable = score is not None and (
        score.metric != "val_loss" or run.criterion.name == run.data.default_loss
    )
    return asdict(score) if score is not None and comparable else None


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    return {"vanishgrad": _own_version(), "python": platform.python_version(), "torch": torch.__version__}


@lru_cache
def _own_version() -> str:
    try:
        return version("vanishgrad")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"


class Tables(Mapping[str, Columns]):
    """The tables of a run by file name, each read when it is first asked for.

    Arguments:
        read: gives a table, by its file name.
    """

    def __init__(self, read: Mapping[str, Callable[[], Columns]]) -> None:
        self._read, self._known = dict(read), dict[str, Columns]()

    def __getitem__(self, file: str) -> Columns:
        if file not in self._known:
            self._known[file] = self._read[file]()
        return self._known[file]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)


@dataclass(frozen=True, eq=False)
class Result:
    """A finished run.

    Arguments:
        run: the setting that was trained.
        status: completed or diverged; of a run of a sweep also failed or interrupted.
        steps: updates done.
        diverged_at: None, or `{"step": ..., "layer": ..., "what": ...}`: where a number first was not finite.
        final: the last known metrics; best: those of the evaluation with the lowest held-out loss.
        tables: gradients.csv, metrics.csv, and those that not every run has.
        network: as it was when the run ended, or what reads it from the folder.
        folder: the run folder, if one was written.
        error: of a run of a sweep that failed, the reason.
    """

    run: Run
    status: str
    steps: int
    seconds: float
    diverged_at: dict[str, Any] | None
    final: dict[str, float | None]
    best: dict[str, float | None]
    tables: Tables
    network: nn.Module | Callable[[], nn.Module]
    folder: Path | None
    error: str | None = None

    @cached_property
    def model(self) -> nn.Module:
        """The network as it was when the run ended.

        Raises:
            SettingError: when its folder has no checkpoint.
        """
        return self.network if isinstance(self.network, nn.Module) else self.network()

    @cached_property
    def gradients(self) -> pd.DataFrame:
        """gradients.csv."""
        return self.tables[GRADIENTS_FILE].frame()

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """metrics.csv."""
        return self.tables[METRICS_FILE].frame()

    @cached_property
    def extra(self) -> dict[str, pd.DataFrame]:
        """The tables that not every run has, by file name without `.csv`.

        time_gradients, gates, residual_gradients, pretrain, dead_units, input_gradients, frames.
        """
        others = [file for file in self.tables if file not in (GRADIENTS_FILE, METRICS_FILE)]
        return {file.removesuffix(".csv"): self.tables[file].frame() for file in others}

    @property
    def setting(self) -> dict[str, Any]:
        """What was trained, as run.json has it under `effective`."""
        return describe(self.run)

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """What is wrong with it."""
        return examine(record_of(
            self.tables[GRADIENTS_FILE], self.tables[METRICS_FILE], setting=self.setting, status=self.status,
            diverged_at=self.diverged_at, baseline=baseline(self.run),
            time_gradients=self.tables.get(TIME_GRADIENTS_FILE), dead_units=self.tables.get(DEAD_UNITS_FILE),
            answers=answers(self.run), fitting=fitting_remedies(self.run),
        ))  # fmt: skip


@dataclass(frozen=True)
class Resumed:
    """Where another process left a run: its record, the step that comes next, the seconds it took so far."""

    record: dict[str, Any]
    step: int
    seconds: float


def seconds_before(folder: Path, step: int) -> float:
    """What a run took for its steps before `step`, as its last row of metrics says."""
    rows = read_metrics(folder, ["step", "seconds"])
    return float(rows.loc[rows["step"] < step, "seconds"].max()) if (rows["step"] < step).any() else 0.0


class MemoryTable:
    """Rows kept in memory."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns, self.rows = tuple(columns), list[Sequence[Cell]]()

    def append(self, rows: Sequence[Sequence[Cell]]) -> None:
        self.rows += rows

    def flush(self, wait: float = 0.0) -> None:
        return None

    def close(self) -> None:
        return None


class Recorder:
    """The record of one run; a context that marks it interrupted or failed when it is left by an exception.

    Arguments:
        run: the setting.
        folder: the run folder, made if need be; None keeps everything in memory.
        provenance: where the run came from.
        device: where it computes.
        resumed: where another process left the run, whose rows before that step are kept; None begins anew.

    Raises:
        WriteError: here and later, when a file cannot be written.
    """

    def __init__(
        self, run: Run, folder: Path | None, provenance: Provenance | None, device: torch.device,
        resumed: Resumed | None = None,
    ) -> None:  # fmt: skip
        self.folder, self._resumed = folder, resumed
        self.record = first_record(run, provenance, device) if resumed is None else resumed.record
        self.started = time.perf_counter() - (0.0 if resumed is None else resumed.seconds)
        self._tables: list[Table | MemoryTable] = []
        self.extra: dict[str, Table | MemoryTable] = {}
        try:
            self._begin()
            self.gradients = self._table(GRADIENTS_FILE, GRADIENT_COLUMNS)
            self.metrics = self._table(METRICS_FILE, METRIC_COLUMNS)
        except WriteError as error:
            self.fail(error)
            raise

    def _begin(self) -> None:
        if self.folder is None:
            return
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        if self._resumed is None:
            clear_optional(self.folder)
        self.update(status="running", error=None)

    def append(self, tables: Mapping[str, Sequence[Sequence[Cell]]]) -> None:
        """Add rows to tables that not every run has, by file name; a table begins with its first rows."""
        for file, rows in tables.items():
            if rows and file not in self.extra:
                self.extra[file] = self._table(file, EXTRA_COLUMNS[file])
            if rows:
                self.extra[file].append(rows)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.perf_counter() - self.started

    def note(self, **changes: Any) -> None:
        """Change entries of run.json when it is written next."""
        self.record.update(changes)

    def update(self, **changes: Any) -> None:
        """Change entries of run.json."""
        self.note(**changes)
        if self.folder is not None:
            write_run(self.folder, self.record)

    def flush(self, wait: float = 0.0) -> None:
        """Write the rows that are waiting, if the last ones were written `wait` seconds ago or more."""
        for table in self._tables:
            table.flush(wait)

    def _table(self, file: str, columns: Sequence[str]) -> Table | MemoryTable:
        table: Table | MemoryTable
        if self.folder is None:
            table = MemoryTable(columns)
        else:
            done = None if self._resumed is None or columns[0] != "step" else self._resumed.step
            table = Table(self.folder / file, columns, before=done)
        self._tables.append(table)
        return table

    def read_back(self) -> Tables:
        """All rows that were written so far."""
        for table in self._tables:
            table.flush()
        tables = {GRADIENTS_FILE: self.gradients, METRICS_FILE: self.metrics, **self.extra}
        return Tables({file: partial(_columns, table) for file, table in tables.items()})

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lost = self._close()
        if error is not None and self.record["status"] == "running":
            status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            self._end(status, error)
        elif error is None and lost is not None:
            raise lost

    def fail(self, error: Exception) -> None:
        """Mark the run failed, while others go on."""
        self._close()
        self._end("failed", error)

    def _close(self) -> WriteError | None:
        """Close the tables; what could not be written."""
        lost = None
        for table in self._tables:
            try:
                table.close()
            except WriteError as error:
                lost = error
        return lost

    def _end(self, status: str, error: BaseException) -> None:
        """Write how the run ended; on a full disk in the space that was kept for this."""
        self.note(status=status, error=error_line(error), seconds=self.seconds)
        if self.folder is not None:
            last_words(self.folder, partial(write_run, self.folder, self.record))


def _columns(table: Table | MemoryTable) -> Columns:
    """All rows of the table; those of a file are read back."""
    if isinstance(table, MemoryTable):
        return Columns.of(table.rows, table.columns, LAYOUT)
    return read_columns(table.path.parent, table.path.name)
