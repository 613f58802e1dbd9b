"""Where a run came from, and the record it begins with."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from vanishgrad.description import answers, describe, fitting_remedies, targets
from vanishgrad.diagnosis import Diagnosis, diagnose
from vanishgrad.records import (
    EXTRA_COLUMNS,
    GRADIENT_COLUMNS,
    GRADIENTS_FILE,
    METRIC_COLUMNS,
    METRICS_FILE,
    SCHEMA_VERSION,
    Cell,
    Table,
    clear_optional,
    frame,
    read_extra,
    read_metrics,
    write_run,
)
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
    try:
        own = version("vanishgrad")
    except PackageNotFoundError:  # run from a source tree that is not installed
        own = "unknown"
    return {"vanishgrad": own, "python": platform.python_version(), "torch": torch.__version__}


@dataclass(frozen=True, eq=False)
class Result:
    """A finished run.

    Arguments:
        run: the setting that was trained.
        status: completed or diverged; of a run of a sweep also failed or interrupted.
        steps: updates done.
        diverged_at: None, or `{"step": ..., "layer": ..., "what": ...}`: where a number first was not finite.
        final: the last known metrics; best: those of the evaluation with the lowest held-out loss.
        gradients: gradients.csv as a DataFrame; metrics: metrics.csv.
        extra: the tables that not every run has, by file name without `.csv`: time_gradients, gates,
            residual_gradients, pretrain, dead_units, input_gradients, frames.
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
    gradients: pd.DataFrame
    metrics: pd.DataFrame
    extra: dict[str, pd.DataFrame]
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

    @property
    def setting(self) -> dict[str, Any]:
        """What was trained, as run.json has it under `effective`."""
        return describe(self.run)

    @cached_property
    def diagnosis(self) -> Diagnosis:
        """What is wrong with it."""
        return diagnose(
            self.gradients, self.metrics, setting=self.setting, status=self.status,
            diverged_at=self.diverged_at, baseline=baseline(self.run),
            time_gradients=self.extra.get("time_gradients"), dead_units=self.extra.get("dead_units"),
            answers=answers(self.run), fitting=fitting_remedies(self.run),
        )  # fmt: skip


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
    """

    def __init__(
        self, run: Run, folder: Path | None, provenance: Provenance | None, device: torch.device,
        resumed: Resumed | None = None,
    ) -> None:  # fmt: skip
        self.folder, self._resumed = folder, resumed
        self.record = first_record(run, provenance, device) if resumed is None else resumed.record
        self.started = time.perf_counter() - (0.0 if resumed is None else resumed.seconds)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            if resumed is None:
                clear_optional(folder)
            self.update(status="running", error=None)
        self.gradients = self._table(GRADIENTS_FILE, GRADIENT_COLUMNS)
        self.metrics = self._table(METRICS_FILE, METRIC_COLUMNS)
        self.extra: dict[str, Table | MemoryTable] = {}

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
        if self.folder is None:
            return MemoryTable(columns)
        done = None if self._resumed is None or columns[0] != "step" else self._resumed.step
        return Table(self.folder / file, columns, before=done)

    @property
    def _tables(self) -> list[Table | MemoryTable]:
        return [self.gradients, self.metrics, *self.extra.values()]

    def extra_frames(self) -> dict[str, pd.DataFrame]:
        """The other tables as DataFrames, by name without the suffix."""
        return {file.removesuffix(".csv"): _frame(table) for file, table in self.extra.items()}

    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """gradients.csv and metrics.csv as DataFrames."""
        return _frame(self.gradients), _frame(self.metrics)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for table in self._tables:
            table.close()
        if kind is not None and self.record["status"] == "running":
            status = "interrupted" if issubclass(kind, KeyboardInterrupt) else "failed"
            self.update(status=status, error=f"{kind.__name__}: {error}", seconds=self.seconds)


def _frame(table: Table | MemoryTable) -> pd.DataFrame:
    """All rows of the table; those of a file are read back once they are written."""
    if isinstance(table, MemoryTable):
        return frame(table.rows, table.columns)
    table.flush()
    return read_extra(table.path.parent, table.path.name)
