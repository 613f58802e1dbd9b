"""The report as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template

import pandas as pd

from vanishgrad.report import sparklines
from vanishgrad.report.controls_html import controls
from vanishgrad.report.figure_html import figure_html
from vanishgrad.report.figures import Palette
from vanishgrad.report.findings import advice
from vanishgrad.report.gallery import Picture
from vanishgrad.report.headline import answer, compared
from vanishgrad.report.labels import NOT_A_SETTING
from vanishgrad.report.runs import Noted, Runs
from vanishgrad.report.runs_html import command, runs_section
from vanishgrad.report.selection import best_first, too_many
from vanishgrad.report.settings_html import Beside, settings_head, settings_rows

__all__ = ["command", "page"]

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
PROFILE = (
    "Small drawings: the gradient at the start, the input on the left, all on one logarithmic scale; the "
    "grey level is where it comes from, the dot where it arrives."
)
FILES = {"style": "page.css", "script": "page.js"}
HERE = Path(__file__).parent


def page(
    runs: Runs,
    summary: pd.DataFrame,
    settings: pd.DataFrame,
    pictures: Sequence[Picture],
    colours: Palette | None = None,
) -> str:
    """HTML that needs nothing beside itself: figures are inlined, styles and script are in the page.

    `colours` are those of the figures; None: the table shows none.
    """
    beside = _beside(runs, colours)
    shown = [picture for picture in pictures if picture.png]
    return Template(_file("page.html")).substitute(
        {name: _file(file) for name, file in FILES.items()},
        title=escape(f"vanishgrad: {compared(runs)}"),
        compared=escape(compared(runs)),
        shared=_shared(runs),
        answer=escape(answer(settings)),
        contents=_contents(shown),
        controls=controls(settings, runs.keys),
        head=settings_head(settings, beside),
        settings=settings_rows(best_first(settings) if too_many(settings) else settings, beside),
        about=_about(runs, settings, beside),
        figures="\n".join(map(_figure, shown)),
        left_out=_left_out(pictures),
        samples=_samples(runs),
        runs=runs_section(runs, summary),
        skipped=_listed("Skipped folders", runs.skipped)
        + _listed("Tables cut short", runs.cut_short)
        + _listed("Files that could not be read", runs.broken_extras),
    )


def _file(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _beside(runs: Runs, colours: Palette | None) -> Beside:
    """What the table of settings shows beside numbers."""
    profiles, profile = sparklines.by_layer(runs), "gradient by layer"
    if not profiles:
        profiles, profile = sparklines.by_time(runs), "gradient by time step"
    own = {} if colours is None or not colours.panels else colours.colours
    return Beside(runs.keys, own, profiles, advice(runs), profile)


def _shared(runs: Runs) -> str:
    """What was typed for all runs alike."""
    first, *others = [list(run.overrides) for run in runs]
    typed = [each for each in first if all(each in other for other in others)] if others else first
    kept = [each for each in typed if each.split("=")[0] not in (*runs.keys, *NOT_A_SETTING)]
    return f"<p class=compared>In all of them: <code>{escape(' '.join(kept))}</code></p>" if kept else ""


def _contents(shown: Sequence[Picture]) -> str:
    """Links to the parts of the page."""
    parts = {"verdicts": "Settings"}
    parts |= {picture.exhibit.name: picture.exhibit.title for picture in shown}
    links = "".join(
        f"<li><a href='#{name}'>{escape(title)}</a></li>"
        for name, title in (parts | {"runs": "Runs"}).items()
    )
    return f"<nav aria-label='parts of this page'><ul>{links}</ul></nav>"


def _figure(picture: Picture) -> str:
    exhibit = picture.exhibit
    return figure_html(
        exhibit.name, exhibit.title, exhibit.caption, picture.png or b"", is_picture=exhibit.is_picture
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


def _about(runs: Runs, settings: pd.DataFrame, beside: Beside) -> str:
    """What the columns of the settings table mean."""
    said = ["Mean ± standard deviation over seeds."]
    said += [PROFILE] * bool(beside.profiles)
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


def _listed(heading: str, folders: Sequence[Noted]) -> str:
    if not folders:
        return ""
    items = "".join(
        f"<li><code>{escape(str(one.folder))}</code>: {escape(one.reason)}</li>" for one in folders
    )
    return f"<h2>{escape(heading)}</h2><ul class=skipped>{items}</ul>"
