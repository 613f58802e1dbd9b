"""The report as one self-contained HTML page."""

from __future__ import annotations

import shlex
from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

import numpy as np
import pandas as pd

from vanishgrad.report.gallery import Picture
from vanishgrad.report.headline import answer, compared
from vanishgrad.report.runs import Noted, Runs

TEMPLATE = Path(__file__).with_name("page.html")


def page(runs: Runs, summary: pd.DataFrame, settings: pd.DataFrame, pictures: Sequence[Picture]) -> str:
    """HTML that needs nothing beside itself: figures are inlined, styles and script are in the page."""
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        compared=escape(compared(runs)),
        answer=escape(answer(settings)),
        settings=_settings(settings),
        figures="\n".join(_figure(picture) for picture in pictures if picture.png),
        left_out=_left_out(pictures),
        runs=_runs(runs, summary),
        skipped=_listed("Skipped folders", runs.skipped) + _listed("Tables cut short", runs.cut_short),
    )


def command(overrides: Iterable[str]) -> str:
    """The shell command that repeats a run."""
    return shlex.join(["vanishgrad", "train", *overrides])


def _settings(settings: pd.DataFrame) -> str:
    """Rows of the settings table: numbers are sorted by `data-value`, not by what is shown."""
    return "\n".join(_setting(row) for _, row in settings.iterrows())


def _setting(row: pd.Series) -> str:
    verdict = str(row["verdict"])
    kind = verdict.split(" ")[0].rstrip(",") if "," not in verdict else "mixed"
    count = f"{row['runs']}" + (f" ({row['diverged']} diverged)" if row["diverged"] else "")
    return (
        f"<tr><th scope=row>{escape(str(row['setting']))}</th>"
        f"<td><span class='verdict {escape(kind)}'>{escape(verdict)}</span></td>"
        + _cell(row, "final_val_accuracy", "{:.3f}")
        + _cell(row, "final_val_loss", "{:.3g}")
        + _cell(row, "gradient_slope", "{:+.3f}")
        + _cell(row, "gradient_slope_final", "{:+.3f}")
        + f"<td data-value='{row['runs']}'>{count}</td></tr>"
    )


def _cell(row: pd.Series, column: str, form: str) -> str:
    """Mean and spread; a dash where nothing finite was measured."""
    mean, spread = row.get(f"{column}_mean", np.nan), row.get(f"{column}_spread", np.nan)
    if not np.isfinite(mean):
        return "<td data-value=''>–</td>"
    around = f" <small>± {form.replace('+', '').format(spread)}</small>" if np.isfinite(spread) else ""
    return f"<td data-value='{mean:.9g}'>{form.format(mean)}{around}</td>"


def _figure(picture: Picture) -> str:
    exhibit = picture.exhibit
    image = b64encode(picture.png or b"").decode("ascii")
    return (
        f"<figure id='{exhibit.name}'><div class=scroll>"
        f"<img alt='{escape(exhibit.title)}' src='data:image/png;base64,{image}'></div>"
        f"<figcaption>{escape(exhibit.caption)}</figcaption></figure>"
    )


def _left_out(pictures: Sequence[Picture]) -> str:
    names = [
        f"{picture.exhibit.title.lower()} (needs {' or '.join(picture.exhibit.needs)})"
        for picture in pictures
        if picture.png is None
    ]
    return (
        f"<p class=note>Left out, because no run recorded it: {escape(', '.join(names))}.</p>"
        if names
        else ""
    )


def _runs(runs: Runs, summary: pd.DataFrame) -> str:
    return "\n".join(
        f"<tr><th scope=row>{escape(row['run'])}</th><td>{escape(row['setting'])}</td>"
        f"<td>{'' if run.seed is None else run.seed}</td><td>{escape(_status(row))}</td>"
        f"<td>{escape(row['verdict'])}</td>"
        f"<td><code>{escape(_repeat(run.overrides, run.choices))}</code></td></tr>"
        for run, (_, row) in zip(runs, summary.iterrows(), strict=True)
    )


def _status(row: pd.Series) -> str:
    step = row["diverged_at"]
    return (
        f"{row['status']} at step {step:g}"
        if isinstance(step, int | float) and np.isfinite(step)
        else row["status"]
    )


def _repeat(overrides: Sequence[str], choices: object) -> str:
    """Runs that were not started by the command have nothing to repeat."""
    return command(overrides) if overrides or choices else ""


def _listed(heading: str, folders: Sequence[Noted]) -> str:
    if not folders:
        return ""
    items = "".join(
        f"<li><code>{escape(str(one.folder))}</code>: {escape(one.reason)}</li>" for one in folders
    )
    return f"<h2>{escape(heading)}</h2><ul class=skipped>{items}</ul>"
