"""The end of a sweep in the terminal: one row per setting."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from vanishgrad.cli.plain import show
from vanishgrad.records import UnreadableRun, read_run
from vanishgrad.report.runs import load_runs, run_folders
from vanishgrad.report.settings_html import Column
from vanishgrad.report.tables import settings_table, summary_table

MOST_STEPS = 120  # as many as the report reads


COLUMNS = (  # shown where some setting has it; the loss only without an accuracy
    Column("accuracy", "final_val_accuracy", "{:.3f}"),
    Column("loss", "final_val_loss", "{:.4g}"),
    Column("bits per character", "final_bits_per_character", "{:.3f}"),
    Column("slope at start", "gradient_slope", "{:+.3f}"),
    Column("slope through time", "time_slope", "{:+.3f}"),
)


def show_sweep(console: Console, folder: Path) -> None:
    """Print mean and spread over the seeds of every setting, and where the sweep is."""
    runs = load_runs(folder, most_steps=MOST_STEPS)
    if len(runs):
        show(console, _table(settings_table(summary_table(runs), runs.keys)))
    console.print(str(folder), soft_wrap=True)


def failures(folder: Path) -> list[str]:
    """The runs of a sweep that failed, and why."""
    found = ((path, _failure(path)) for path in run_folders(folder))
    return [f"{path}: {reason}" for path, reason in found if reason is not None]


def _failure(folder: Path) -> str | None:
    try:
        record = read_run(folder)
    except UnreadableRun as error:
        return error.reason
    return str(record["error"]) if record["status"] == "failed" else None


def _table(settings: pd.DataFrame) -> Table:
    known = [
        column
        for column in COLUMNS
        if settings.get(f"{column.name}_mean", pd.Series(dtype=float)).notna().any()
    ]
    if any(column.name == "final_val_accuracy" for column in known):
        known = [column for column in known if column.name != "final_val_loss"]
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("setting", overflow="fold")
    for heading in (*(column.heading for column in known), "runs"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("verdict")
    for _, row in settings.iterrows():
        cells = [_number(row, column.name, column.form) for column in known]
        table.add_row(str(row["setting"]), *cells, str(row["runs"]), str(row["verdict"]))
    return table


def _number(row: pd.Series[Any], column: str, form: str) -> str:
    """`0.912 ± 0.004`; without a spread for a single run, a dash for nothing finite."""
    mean, spread = (float(row.get(f"{column}_{part}", math.nan)) for part in ("mean", "spread"))
    if not math.isfinite(mean):
        return "–"
    around = f" ± {form.replace('+', '').format(spread)}" if math.isfinite(spread) else ""
    return form.format(mean) + around
