"""The end of a sweep in the terminal: one row per setting, and what did not go well."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vanishgrad.cli.plain import show
from vanishgrad.cli.sweep_display import FINISHED, one_line
from vanishgrad.records import UnreadableRun, read_run, replace_file
from vanishgrad.report.runs import load_runs, run_folders
from vanishgrad.report.selection import BEST, WORST, best_first
from vanishgrad.report.settings_html import Column
from vanishgrad.report.tables import settings_table, summary_table
from vanishgrad.sweep.job import Job, Outcome

SUMMARY_FILE = "sweep_summary.csv"
LOGS = "logs"  # a folder beside those of the runs
MOST_STEPS = 120  # as many as the report reads
MOST_NAMED = 10  # runs that ended in one way


COLUMNS = (  # shown where some setting has it; the loss only without an accuracy
    Column("accuracy", "final_val_accuracy", "{:.3f}"),
    Column("loss", "final_val_loss", "{:.4g}"),
    Column("bits per character", "final_bits_per_character", "{:.3f}"),
    Column("slope at start", "gradient_slope", "{:+.3f}"),
    Column("slope through time", "time_slope", "{:+.3f}"),
)


def show_sweep(console: Console, folder: Path) -> None:
    """Print mean and spread over the seeds of every setting, the best first, and where the sweep is.

    The whole of it is left in the sweep's folder as `sweep_summary.csv`: `setting`, its keys, `runs`,
    `diverged`, `*_mean`, `*_spread` and `*_count` of every number, and `verdict`.
    """
    with console.status("reading the runs"):
        runs = load_runs(folder, most_steps=MOST_STEPS)
        settings = (
            best_first(settings_table(_of_ended(summary_table(runs)), runs.keys)) if len(runs) else None
        )
    if settings is not None:
        replace_file(folder / SUMMARY_FILE, settings.to_csv(index=False, float_format="%.9g").encode())
        show(console, _table(settings))
    console.print(str(folder), soft_wrap=True, markup=False)


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
    told = ", ".join(f"{counts[name]} {name}" for name in names if counts[name])
    console.print(told, soft_wrap=True)
    for status, describe in (("failed", _failed), ("diverged", _diverged)):
        found = [one for one in ended.values() if one[1].status == status]
        for job, outcome in found[:MOST_NAMED]:
            for line in describe(job, outcome):
                console.print(Text(line), soft_wrap=True)
        if len(found) > MOST_NAMED:
            console.print(f"     and {len(found) - MOST_NAMED} more {status}")


def failures(folder: Path) -> list[str]:
    """The runs of a sweep that failed, and why."""
    found = ((path, _failure(path)) for path in run_folders(folder) if path != folder / LOGS)
    return [f"{path}: {reason}" for path, reason in found if reason is not None]


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
    known = _known(settings)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("setting", overflow="fold")
    for heading in (*(column.heading for column in known), "runs"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict")
    left_out = len(settings) - BEST - WORST
    for number, (_, row) in enumerate(settings.iterrows()):
        if left_out > 0 and number == BEST:
            table.add_row(Text(f"... {left_out} more in {SUMMARY_FILE}", style="dim"))
        if left_out <= 0 or not BEST <= number < BEST + left_out:
            table.add_row(*_cells(row, known))
    return table


def _known(settings: pd.DataFrame) -> list[Column]:
    """The columns in which some setting has a number."""
    nothing = pd.Series(dtype=float)
    known = [column for column in COLUMNS if settings.get(f"{column.name}_mean", nothing).notna().any()]
    has_accuracy = any(column.name == "final_val_accuracy" for column in known)
    return [column for column in known if not (has_accuracy and column.name == "final_val_loss")]


def _cells(row: pd.Series[Any], known: Iterable[Column]) -> list[Text]:
    numbers = [_number(row, column.name, column.form) for column in known]
    return [
        Text(cell)
        for cell in (str(row["setting"]), *numbers, str(row["runs"]), str(row["verdict"]).replace("_", " "))
    ]


def _number(row: pd.Series[Any], column: str, form: str) -> str:
    """`0.912 ± 0.004`; without a spread for a single run, a dash for nothing finite."""
    mean, spread = (float(row.get(f"{column}_{part}", math.nan)) for part in ("mean", "spread"))
    if not math.isfinite(mean):
        return "–"
    around = f" ± {form.replace('+', '').format(spread)}" if math.isfinite(spread) else ""
    return form.format(mean) + around
