"""The end of a sweep in the terminal: one row per setting, and what did not go well."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vanishgrad.cli.sweep_display import FINISHED, one_line
from vanishgrad.cli.terminal import line, show, working
from vanishgrad.files import replace_file
from vanishgrad.printing import printable
from vanishgrad.records import SUMMARY_FILE, Baseline, UnreadableRun, flatten, read_run
from vanishgrad.report.labels import run_labels, varied_keys
from vanishgrad.report.loading import load_runs, natural, run_folders
from vanishgrad.report.tables import (
    BEST,
    WORST,
    Column,
    RunNumbers,
    best_first,
    numbers_of,
    settings_table,
    table_of_runs,
)
from vanishgrad.rows import written
from vanishgrad.sweeps.job import Job, Outcome

LOGS = "logs"  # a folder next to those of the runs
MOST_STEPS = 120  # as many as the report reads
MOST_NAMED = 10  # runs that ended in one way


COLUMNS = (  # shown where some setting has it; the loss only without an accuracy
    Column("accuracy", "final_val_accuracy", "{:.3f}"),
    Column("loss", "final_val_loss", "{:.4g}"),
    Column("bits per character", "final_bits_per_character", "{:.3f}"),
    Column("slope at start", "gradient_slope", "{:+.3f}"),
    Column("slope through time", "time_slope", "{:+.3f}"),
)


def show_sweep(
    console: Console, folder: Path, jobs: Sequence[Job] = (), outcomes: Mapping[int, Outcome] | None = None
) -> None:
    """Print mean and spread over the seeds of every setting, the best first, and where the sweep is.

    The whole of it is left in the sweep's folder as `sweep_summary.csv`: `setting`, its keys, `runs`,
    `diverged`, `*_mean`, `*_spread` and `*_count` of every number, and `verdict`.

    Arguments:
        console: where.
        folder: of the sweep.
        jobs: of the sweep; without any, its run folders are read.
        outcomes: how they ended, by number.

    Raises:
        WriteError: once all is printed, when that cannot be written.
    """
    with working("reading the runs"):
        settings = _settings(_runs_in(folder) if not jobs else _runs_of(jobs, outcomes or {}))
    if settings is not None:
        show(console, _table(settings))
    line(console, str(folder))
    if settings is not None:
        replace_file(folder / SUMMARY_FILE, written(settings, 9))


class _Run(NamedTuple):
    """A run as the table sees it: its place among the runs, and what it is called by."""

    place: Any
    choices: Mapping[str, Any]
    overrides: Sequence[str]
    name: str
    numbers: RunNumbers


def _runs_in(folder: Path) -> list[_Run]:
    """The runs of a folder that can be read."""
    return [
        _Run((), run.choices, run.overrides, run.name, numbers_of(run))
        for run in load_runs(folder, most_steps=MOST_STEPS)
    ]


def _runs_of(jobs: Sequence[Job], outcomes: Mapping[int, Outcome]) -> list[_Run]:
    """The runs of a sweep as its own record has them: reading a thousand folders would take many seconds."""
    runs = []
    for job in jobs:
        outcome = outcomes.get(job.number)
        if outcome is None or not outcome.summary:
            found = _runs_in(job.folder) if job.folder.is_dir() else []
        else:
            found = [_told(job, outcome)]
        runs += [run._replace(place=natural(job.folder)) for run in found]
    return sorted(runs, key=lambda run: run.place)


def _told(job: Job, outcome: Outcome) -> _Run:
    choices, told = job.provenance.choices, outcome.summary
    final = {name: value for name, value in outcome.metrics.items() if name != "gradient_slope"}
    numbers = RunNumbers(
        outcome.status, job.run.seed, final, told.get("best") or {}, told.get("slopes") or {},
        Baseline.read(told.get("baseline")), str(told.get("verdict")), outcome.diverged_at,
    )  # fmt: skip
    return _Run((), choices, job.provenance.overrides, str(choices.get("name") or ""), numbers)


def _settings(runs: Sequence[_Run]) -> pd.DataFrame | None:
    """A row for each setting, the best first; None without runs."""
    if not runs:
        return None
    choices, overrides = [run.choices for run in runs], [run.overrides for run in runs]
    keys = varied_keys(choices, overrides)
    labels = run_labels(choices, overrides, [run.name for run in runs])
    rows = [run.numbers.row(flatten(run.choices), keys) for run in runs]
    table = table_of_runs(rows, [str(number) for number in range(len(runs))], labels)
    return best_first(settings_table(_of_ended(table), keys))


def show_failures(console: Console, outcomes: Mapping[int, Outcome], jobs: Sequence[Job]) -> None:
    """Print how many runs ended in which way and what became of the failed and the diverged ones.

    Nothing where all completed.

    Arguments:
        console: where.
        outcomes: by number; a job without one has not begun.
        jobs: of the sweep.
    """
    ended = {job.number: (job, outcomes[job.number]) for job in jobs if job.number in outcomes}
    counts = Counter(outcome.status for _, outcome in ended.values())
    counts["not begun"] = len(jobs) - len(ended)
    if counts["completed"] == len(jobs):
        return
    names = dict.fromkeys(["completed", "diverged", "failed", "interrupted", *counts])
    summary = ", ".join(f"{counts[name]} {name}" for name in names if counts[name])
    line(console, summary)
    for status, describe in (("failed", _failed), ("diverged", _diverged)):
        alike = [one for one in ended.values() if one[1].status == status]
        for job, outcome in alike[:MOST_NAMED]:
            for text in describe(job, outcome):
                line(console, text)
        if len(alike) > MOST_NAMED:
            line(console, f"     and {len(alike) - MOST_NAMED} more {status}")


def failures(folder: Path) -> list[str]:
    """The runs in the folder of a sweep that failed, and why."""
    reasons = {path: _failure(path) for path in run_folders(folder) if path != folder / LOGS}
    return [f"{path}: {reason}" for path, reason in reasons.items() if reason is not None]


def failures_of(folder: Path, jobs: Sequence[Job], outcomes: Mapping[int, Outcome]) -> list[str]:
    """The runs of a sweep that failed, and why, also where a full disk did not take that."""
    here, reasons = folder.absolute(), dict[Path, str | None]()
    for job in jobs:
        outcome = outcomes.get(job.number)
        if outcome is not None and outcome.status in (*FINISHED, "failed"):
            reasons[job.folder] = str(outcome.error) if outcome.status == "failed" else None
        elif job.folder.is_dir():
            reasons[job.folder] = _failure(job.folder)
    return [
        f"{folder / path.relative_to(here)}: {reason}"
        for path, reason in reasons.items()
        if reason is not None
    ]


def _of_ended(summary: pd.DataFrame) -> pd.DataFrame:
    """Of a run that failed or was interrupted nothing that it had reached counts; its verdict is that."""
    reached = [name for name in summary if str(name).startswith(("final_", "best_"))]
    unfinished = ~summary["status"].isin(FINISHED)
    summary.loc[unfinished, reached] = math.nan
    return summary.assign(verdict=summary["verdict"].mask(unfinished, summary["status"]))


def _failed(job: Job, outcome: Outcome) -> Iterator[str]:
    yield _line(job, f"failed: {one_line(outcome.error or 'for an unknown reason')}")
    if outcome.log is not None:
        yield f"     {_from_here(Path(outcome.log))}"


def _diverged(job: Job, outcome: Outcome) -> Iterator[str]:
    yield _line(job, f"diverged at step {outcome.diverged_at}")


def _line(job: Job, text: str) -> str:
    return "  ".join(part for part in (f"{job.number:>3}", job.label, text) if part)


def _from_here(path: Path) -> Path:
    """Below this directory as it would be typed."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _failure(folder: Path) -> str | None:
    try:
        record = read_run(folder)
    except UnreadableRun as error:
        return error.reason
    return str(record["error"]) if record["status"] == "failed" else None


def _table(settings: pd.DataFrame) -> Table:
    columns = _filled_columns(settings)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("setting", overflow="fold")
    for heading in (*(column.heading for column in columns), "runs"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict")
    left_out = len(settings) - BEST - WORST
    for number, (_, row) in enumerate(settings.iterrows()):
        if left_out > 0 and number == BEST:
            table.add_row(Text(f"... {left_out} more in {SUMMARY_FILE}", style="dim"))
        if left_out <= 0 or not BEST <= number < BEST + left_out:
            table.add_row(*_cells(row, columns))
    return table


def _filled_columns(settings: pd.DataFrame) -> list[Column]:
    """The columns in which some setting has a number."""
    nothing = pd.Series(dtype=float)
    columns = [column for column in COLUMNS if settings.get(f"{column.name}_mean", nothing).notna().any()]
    has_accuracy = any(column.name == "final_val_accuracy" for column in columns)
    return [column for column in columns if not (has_accuracy and column.name == "final_val_loss")]


def _cells(row: pd.Series[Any], columns: Iterable[Column]) -> list[Text]:
    numbers = [_number(row, column.name, column.form) for column in columns]
    return [
        Text(printable(cell))
        for cell in (str(row["setting"]), *numbers, str(row["runs"]), str(row["verdict"]).replace("_", " "))
    ]


def _number(row: pd.Series[Any], column: str, form: str) -> str:
    """`0.912 ± 0.004`; without a spread for a single run, a dash for nothing finite."""
    mean, spread = (float(row.get(f"{column}_{part}", math.nan)) for part in ("mean", "spread"))
    if not math.isfinite(mean):
        return "–"
    around = f" ± {form.replace('+', '').format(spread)}" if math.isfinite(spread) else ""
    return form.format(mean) + around
