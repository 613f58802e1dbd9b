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
from vanishgrad.report.selection import best_first, too_many
from vanishgrad.report.settings_html import settings_head, settings_rows

MOST_SAMPLES = 4
MOST_BASELINES = 3
SLOPE = (
    "Slope: decades per hidden layer by which the gradient shrinks towards the input; 0 is even, positive is "
    "vanishing, negative is exploding. Vanishing and exploding are said of settings that do not learn and "
    "whose gradient changes by a factor of 100 or more across the hidden layers, or of 1000 where it is not "
    "known whether they learn."
)
TIME_SLOPE = (
    "Time slope: decades per time step by which the gradient of the recurrent state shrinks towards the "
    "first time step, at the start; vanishing and exploding through time are said of settings that do not "
    "learn and where it changes by a factor of 1000 or more from the last time step to the first."
)
TEMPLATE = Path(__file__).with_name("page.html")


def page(runs: Runs, summary: pd.DataFrame, settings: pd.DataFrame, pictures: Sequence[Picture]) -> str:
    """HTML that needs nothing beside itself: figures are inlined, styles and script are in the page."""
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        compared=escape(compared(runs)),
        answer=escape(answer(settings)),
        head=settings_head(settings),
        settings=settings_rows(best_first(settings) if too_many(settings) else settings),
        about=_about(runs, settings),
        figures="\n".join(_figure(picture) for picture in pictures if picture.png),
        left_out=_left_out(pictures),
        samples=_samples(runs),
        runs=_runs(runs, summary),
        skipped=_listed("Skipped folders", runs.skipped)
        + _listed("Tables cut short", runs.cut_short)
        + _listed("Files that could not be read", runs.broken_extras),
    )


def command(overrides: Iterable[str]) -> str:
    """The shell command that repeats a run."""
    return shlex.join(["vanishgrad", "train", *overrides])


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
        if picture.png is None and not picture.exhibit.is_extra
    ]
    return (
        f"<p class=note>Left out, because no run recorded it: {escape(', '.join(names))}.</p>"
        if names
        else ""
    )


def _about(runs: Runs, settings: pd.DataFrame) -> str:
    """What the columns of the settings table mean."""
    said = ["Mean ± standard deviation over seeds."]
    said += [SLOPE] * bool(settings.get("gradient_slope_count", pd.Series(0)).any())
    said += [TIME_SLOPE] * ("time_slope_mean" in settings)
    baselines = [
        f"{one.metric.removeprefix('val_')} {one.value:.3g}" + (f" ({one.source})" if one.source else "")
        for one in runs.baselines[:MOST_BASELINES]
    ]
    if baselines:
        more = ", ..." if len(runs.baselines) > MOST_BASELINES else ""
        said.append(f"Baseline, what an answer that ignores the input scores: {'; '.join(baselines)}{more}.")
    return escape(" ".join(said))


def _samples(runs: Runs) -> str:
    """The beginning of the text that networks wrote, the first run of each of a few settings."""
    texts: dict[str, str] = {}
    for run, label in zip(runs, runs.labels, strict=True):
        if label not in texts and len(texts) < MOST_SAMPLES and run.sample_start:
            texts[label] = run.sample_start
    shown = [
        f"<section><h3>{escape(label)}</h3><pre>{escape(text)}</pre></section>"
        for label, text in texts.items()
    ]
    return f"<h2>Sampled text</h2><div class=samples>{''.join(shown)}</div>" if shown else ""


def _runs(runs: Runs, summary: pd.DataFrame) -> str:
    return "\n".join(
        f"<tr><th scope=row>{escape(row['run'])}</th><td>{escape(row['setting'])}</td>"
        f"<td>{'' if run.seed is None else run.seed}</td><td>{escape(_status(row))}</td>"
        f"<td>{escape(row['verdict'].replace('_', ' '))}</td>"
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
