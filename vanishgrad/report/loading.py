"""Run folders read: `load_runs` reads many, `newest_runs` names the last one."""

from __future__ import annotations

import marshal
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vanishgrad.diagnosis.layers import by_layer
from vanishgrad.errors import SettingError, instance_of, require
from vanishgrad.forks import shared
from vanishgrad.records import (
    CLAIMS_FILE,
    GRADIENT_COLUMNS,
    GRADIENTS_FILE,
    METRIC_COLUMNS,
    METRICS_FILE,
    RUN_FILE,
    UnreadableRun,
    read_run,
    read_tables,
)
from vanishgrad.report.extras import NOTHING
from vanishgrad.report.runs import Noted, Runs, SavedRun
from vanishgrad.rows import evenly_spaced
from vanishgrad.schema import is_there

NOT_RUNS = frozenset({"report", "lab", "theory"})
REPORT_PAGE = "index.html"
DATED = re.compile(r"\d{4}-\d\d-\d\d_")


def load_runs(*folders: str | Path, most_steps: int | None = None) -> Runs:
    """Read every run folder at or below `folders`; report and lab folders below them are passed over.

    Tables of all runs together are `gradients`, `metrics` and `extra(name)`, each with the columns
    `run, setting, seed, status`; single runs come by iterating.

    Arguments:
        folders: of runs, of sweeps, or of many of them.
        most_steps: about how many logged steps are kept of long tables, which bounds the memory that a large
            sweep takes; None: all.

    Returns:
        The runs in the order of their numbers; folders without a readable run are in `skipped`, with the
        reason.

    Raises:
        SettingError: when one of the `folders` does not exist.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "run.json").write_text('{"status": "completed", "choices": {"depth": 2}}')
        ...     _ = Path(folder, "gradients.csv").write_text("step,layer,grad_norm\\n0,1,0.1\\n0,2,1.0\\n")
        ...     runs = load_runs(folder)
        >>> runs.gradients[["layer", "grad_norm"]].values.tolist()
        [[1.0, 0.1], [2.0, 1.0]]
        >>> runs.skipped
        ()
    """
    for given in folders:
        instance_of("load_runs", given, (str, Path), "folders, such as 'outputs/2026-01-31_12-00-00'")
    found = _unique(run for place in folders for run in run_folders(Path(place)))
    groups = [found[number : number + AT_A_TIME] for number in range(0, len(found), AT_A_TIME)]
    much = len(groups) > 1 and most_steps is not None  # otherwise most is read, and goes to and fro
    with shared(lambda group: _read(group, most_steps), groups, worthwhile=much) as read:
        return _joined(read)


AT_A_TIME = 50  # folders that are read together


Arrays: TypeAlias = dict[str, NDArray[Any]]


class Part(NamedTuple):
    """Some runs whose tables stand apart, each kind joined: so they travel between processes, and are joined.

    Arguments:
        runs: without their tables.
        skipped: the folders without a run.
        tables: the columns of the gradients of all runs, and of their metrics.
        lengths: how many rows of each a run has.
    """

    runs: list[SavedRun]
    skipped: list[Noted]
    tables: tuple[Arrays, Arrays]
    lengths: list[tuple[int, int]]


def _read(folders: Sequence[Path], most_steps: int | None) -> Part:
    """The runs of some folders, or why they cannot be read."""
    found = list(_each(folders, most_steps))
    runs = [one for one in found if isinstance(one, SavedRun)]
    gradients, metrics = [run.gradients for run in runs], [run.metrics for run in runs]
    return Part(
        [_without_tables(run, most_steps) for run in runs],
        [Noted(one.folder, one.reason) for one in found if isinstance(one, UnreadableRun)],
        (_stacked(gradients), _stacked(metrics)),
        [(len(run.gradients), len(run.metrics)) for run in runs],
    )


def _without_tables(run: SavedRun, most_steps: int | None) -> SavedRun:
    """A run that knows what is wrong with it, if it is read for that, but not where that is seen."""
    bare = replace(run, gradients=NOTHING, metrics=NOTHING)
    return bare if most_steps is None else _knowing(bare, run)


def _knowing(run: SavedRun, other: SavedRun) -> SavedRun:
    """The run with the diagnosis that another of the same tables has made."""
    vars(run)["diagnosis"] = other.diagnosis  # where `cached_property` keeps it
    return run


def _stacked(tables: Sequence[pd.DataFrame]) -> Arrays:
    """The columns of tables, one below the other."""
    filled = [table for table in tables if len(table)] or tables[:1]
    names = [str(name) for table in filled[:1] for name in table]
    return {name: np.concatenate([table[name].to_numpy() for table in filled]) for name in names}


class Growing:
    """A table that grows in place: joining parts would have all rows in memory twice."""

    def __init__(self) -> None:
        self._columns: Arrays = {}
        self._length = 0

    def add(self, more: Arrays) -> None:
        """Put rows below those that are there."""
        end = self._length + max(map(len, more.values()), default=0)
        for name, values in more.items():
            column = self._columns.get(name, values[:0])
            kind = np.result_type(column, values)
            if name not in self._columns or end > len(column) or kind != column.dtype:
                larger = np.empty(max(end, 2 * len(column)), kind)  # what is not written takes no memory
                larger[: self._length] = column[: self._length]
                self._columns[name] = column = larger
            column[self._length : end] = values
        self._length = end

    def frame(self) -> pd.DataFrame:
        """The rows as a DataFrame, which shares their memory."""
        return pd.DataFrame(
            {name: column[: self._length] for name, column in self._columns.items()}, copy=False
        )


def _joined(parts: Iterable[Part]) -> Runs:
    """All runs, whose tables are parts of one of each kind: a table of all of them needs no second memory."""
    runs, skipped, lengths = list[SavedRun](), list[Noted](), list[tuple[int, int]]()
    tables = Growing(), Growing()
    for part in parts:
        runs += part.runs
        skipped += part.skipped
        lengths += part.lengths
        for table, more in zip(tables, part.tables, strict=True):
            table.add(more)
    gradients, metrics = (table.frame() for table in tables)
    of_each = zip(*lengths, strict=True) if lengths else ((), ())
    split = map(_cut, (gradients, metrics), of_each)
    own = [_with_tables(run, *its) for run, *its in zip(runs, *split, strict=True)]
    return Runs(tuple(own), tuple(skipped), gradients if own else None)


def _with_tables(bare: SavedRun, gradients: pd.DataFrame, metrics: pd.DataFrame) -> SavedRun:
    run = replace(bare, gradients=gradients, metrics=metrics)
    return _knowing(run, bare) if "diagnosis" in vars(bare) else run


def _cut(table: pd.DataFrame, lengths: Sequence[int]) -> list[pd.DataFrame]:
    return [table.iloc[begin:end] for begin, end in pairwise([0, *accumulate(lengths)])]


def _each(folders: Sequence[Path], most_steps: int | None) -> Iterator[SavedRun | UnreadableRun]:
    alike: dict[bytes, Any] = {}
    records = [_record(folder, alike) for folder in folders]
    wanted = [folder for folder, one in zip(folders, records, strict=True) if isinstance(one, dict)]
    tables = zip(
        read_tables(wanted, GRADIENTS_FILE, most_steps), read_tables(wanted, METRICS_FILE), strict=True
    )
    for folder, record in zip(folders, records, strict=True):
        if not isinstance(record, dict):
            yield record
            continue
        gradients, metrics = next(tables)
        broken = next((one for one in (gradients, metrics) if isinstance(one, UnreadableRun)), None)
        yield broken or _run(folder, record, gradients, metrics, most_steps)


def _record(folder: Path, alike: dict[bytes, Any]) -> dict[str, Any] | UnreadableRun:
    """run.json; what it says like others before it says is theirs, for most of it is the same in a sweep."""
    try:
        record = read_run(folder)
    except UnreadableRun as error:
        return error
    same: dict[str, Any] = _once(record, alike)
    return same


def _once(value: Any, alike: dict[bytes, Any]) -> Any:
    if isinstance(value, dict):
        value = {sys.intern(key): _once(one, alike) for key, one in value.items()}
    if isinstance(value, dict | list):
        return alike.setdefault(marshal.dumps(value, 2), value)  # version 2 is the value's alone
    return value


def _run(
    folder: Path, record: dict[str, Any], gradients: Any, metrics: Any, most_steps: int | None
) -> SavedRun | UnreadableRun:
    """Of tables that were read; columns that an older version did not write are empty."""
    if gradients.empty:
        return UnreadableRun(folder, f"{GRADIENTS_FILE} has no complete row")
    gradients, metrics = _all(gradients, GRADIENT_COLUMNS), _all(metrics, METRIC_COLUMNS)
    if most_steps is not None:
        metrics = _thin_metrics(metrics, most_steps)
    return SavedRun(folder, record, by_layer(gradients), metrics, most_steps)


def _all(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    return table if list(table.columns) == list(columns) else table.reindex(columns=list(columns))


def _thin_metrics(metrics: pd.DataFrame, most_steps: int) -> pd.DataFrame:
    """Evaluated rows are thinned apart from logged ones: they seldom fall on the same steps."""
    if len(metrics) <= most_steps:
        return metrics
    step, evaluated = metrics["step"].to_numpy(), metrics["val_loss"].notna().to_numpy()
    parts = [np.flatnonzero(evaluated), np.flatnonzero(~evaluated)]
    kept = np.sort(np.concatenate([part[_at_few_steps(step[part], most_steps)] for part in parts]))
    return metrics.iloc[kept[np.argsort(step[kept], kind="stable")]]


def _at_few_steps(step: NDArray[Any], most_steps: int) -> NDArray[np.bool_]:
    steps = np.unique(step)
    if steps.size <= most_steps:
        return np.ones(step.size, dtype=bool)
    return np.isin(step, np.array(evenly_spaced(steps.tolist(), most_steps)))


def run_folders(folder: Path) -> list[Path]:
    """`folder` itself if it is a run, else the runs below it and the folders that should have been one."""
    require(folder.is_dir(), f"runs={folder}: there is no such folder")
    return list(_run_folders(folder, set()))


def _run_folders(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """The same; a folder that links lead back to is looked at once."""
    found = os.stat(folder)
    if (found.st_dev, found.st_ino) in seen:
        return
    seen.add((found.st_dev, found.st_ino))
    if is_there(folder / RUN_FILE):
        yield folder
        return
    try:
        below = sorted((path for path in folder.iterdir() if _may_hold_runs(path)), key=natural)
    except OSError:
        below = []  # reading it will say why
    for path in below:
        yield from _run_folders(path, seen)
    if not below and not (folder / REPORT_PAGE).exists():
        yield folder


def newest_runs(outputs: Path = Path("outputs")) -> Path:
    """The run or sweep under `outputs` that was started last; report and lab folders are not counted."""
    hint = "train something first, or name a folder with runs=DIR"
    require(outputs.is_dir(), f"there is no folder {outputs} here: {hint}")
    started = [path for path in outputs.iterdir() if _may_hold_runs(path) and any(_recorded(path))]
    if not started:
        raise SettingError(f"there is no run in {outputs}: {hint}")
    return max(started, key=_start)


def _may_hold_runs(path: Path) -> bool:
    """Whether to look below `path` for runs."""
    other = path.name.startswith(".") or path.name in NOT_RUNS
    is_figures = path.name == "figures" and (path.parent / REPORT_PAGE).exists()
    return path.is_dir() and not other and not is_figures and not (path / CLAIMS_FILE).exists()


def _recorded(folder: Path) -> Iterator[Path]:
    return (path for path in run_folders(folder) if (path / RUN_FILE).is_file())


def _start(folder: Path) -> str:
    """When it was started, as the folder's name says, else when its newest record was written."""
    if DATED.match(folder.name):
        return folder.name
    written = max((path / RUN_FILE).stat().st_mtime for path in _recorded(folder))
    return time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(written))


def natural(path: Path) -> tuple[tuple[str, int], ...]:
    """Sort key that puts job 2 before job 10."""
    return tuple((text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", path.name))


def _unique(folders: Iterable[Path]) -> list[Path]:
    return list({folder.resolve(): folder for folder in folders}.values())
