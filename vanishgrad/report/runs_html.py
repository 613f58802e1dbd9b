"""The table of every run, with the command that repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import pandas as pd

from vanishgrad.report.cells_html import data_values, heading, number_cell, verdict_chip
from vanishgrad.report.runs import Runs, SavedRun

MOST_OPEN = 30  # runs that are listed without being asked for
MOST_PRINTED = 120
ACCURACY, LOSS = "final_val_accuracy", "final_val_loss"


def command(overrides: Iterable[str]) -> str:
    """The shell command that repeats a run."""
    return shlex.join(["vanishgrad", "train", *overrides])


def runs_section(runs: Runs, summary: pd.DataFrame) -> str:
    """A section that can be folded, sorted and filtered as the settings are."""
    is_open = " open" * (len(runs) <= MOST_OPEN) + " data-print" * (len(runs) <= MOST_PRINTED)
    reached = _reached(summary)
    headings = ["run", "setting", "seed", "status", "verdict", *reached.values(), "command"]
    rows = "\n".join(
        _row(run, row, runs.keys, reached) for run, (_, row) in zip(runs, summary.iterrows(), strict=True)
    )
    return (
        f"<details id=runs{is_open}><summary>Every run, and the command that repeats it</summary>"
        f"<div class=scroll><table class=sortable><thead><tr>{''.join(map(heading, headings))}</tr></thead>"
        f"<tbody>\n{rows}\n</tbody></table></div></details>"
    )


def _reached(summary: pd.DataFrame) -> dict[str, str]:
    """The column that says what a run reached: the accuracy, else the loss."""
    found = {ACCURACY: "val. accuracy", LOSS: "val. loss"}
    known = [name for name in found if name in summary and np.isfinite(summary[name].astype(float)).any()]
    return {name: found[name] for name in known[:1]}


def _row(run: SavedRun, row: pd.Series, keys: Sequence[str], reached: dict[str, str]) -> str:
    seed = "" if run.seed is None else str(run.seed)
    numbers = "".join(number_cell(float(row[name]), "{:.3g}", label) for name, label in reached.items())
    return (
        f"<tr data-values='{data_values(row, keys)}'><th scope=row>{escape(row['run'])}</th>"
        f"<td class=said data-label=setting>{escape(row['setting'])}</td>"
        f"<td data-label=seed data-value='{seed}'>{seed}</td>"
        f"<td data-label=status>{escape(_status(row))}</td>"
        f"<td data-label=verdict>{verdict_chip(row['verdict'])}</td>{numbers}"
        f"<td class=command data-label=command>{_repeat(run)}</td></tr>"
    )


def _status(row: pd.Series) -> str:
    step = row["diverged_at"]
    known = isinstance(step, int | float) and np.isfinite(step)
    return f"{row['status']} at step {step:g}" if known else row["status"]


def _repeat(run: SavedRun) -> str:
    """Runs that were not started by the command have nothing to repeat."""
    if not run.overrides and not run.choices:
        return ""
    return f"<code>{escape(command(run.overrides))}</code><button class=copy hidden>copy</button>"
