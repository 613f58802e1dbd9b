"""What filters and sorts the page's tables: words, and a list for each choice that varied."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd

from vanishgrad.report.figures.canvas import DPI
from vanishgrad.report.figures.palette import Palette
from vanishgrad.report.gallery import Picture
from vanishgrad.report.labels import NOT_A_SETTING, counted, flatten, shown
from vanishgrad.report.runs import Noted, Runs
from vanishgrad.report.settings import (
    Beside,
    advice,
    command,
    layer_sparklines,
    runs_section,
    settings_head,
    settings_rows,
    time_sparklines,
    value_text,
)
from vanishgrad.report.tables import best_first, too_many

MOST_LISTS = 6
MOST_CHOICES = 30


def controls(settings: pd.DataFrame, keys: Iterable[str]) -> str:
    """A form that the page's script shows; without a script the tables are as they are."""
    lists = [_list(key, _filter_values(settings, key)) for key in ("verdict", *keys)]
    return (
        "<form id=controls class=controls hidden>"
        "<input name=words type=search autocomplete=off aria-label='show rows with these words' "
        "placeholder='filter: act=relu learns'>"
        + "".join(list(filter(None, lists))[:MOST_LISTS])
        + "<select name=sorting class=sorting aria-label='sort by'><option value=''>sort by</option></select>"
        "<output name=count></output></form>"
    )


def _filter_values(settings: pd.DataFrame, key: str) -> list[str]:
    """The different values of a column in their order."""
    return list(dict.fromkeys(filter(None, map(value_text, settings[key])))) if key in settings else []


def _list(key: str, values: list[str]) -> str:
    """Nothing where there is nothing to choose between, or too much."""
    if not 1 < len(values) <= MOST_CHOICES:
        return ""
    options = "".join(
        f"<option value='{escape(value)}'>{escape(value.replace('_', ' '))}</option>" for value in values
    )
    name = escape(key)
    any_value = f"<option value=''>{name}: any</option>"
    return f"<select data-key='{name}' aria-label='{name}'>{any_value}{options}</select>"


SHOWN = 104  # CSS pixels per inch of a figure


def figure_html(name: str, title: str, caption: str, png: bytes, *, is_picture: bool = False) -> str:
    """The figure with its caption, its picture inside.

    Arguments:
        name: by which links find it.
        title: for those who do not see it.
        caption: under it.
        png: the picture.
        is_picture: whether its colours mean something, so that a dark page leaves them alone.
    """
    image = b64encode(png).decode("ascii")
    kind = " class=picture" if is_picture else ""
    return (
        f"<figure id='{escape(name)}'><div class=scroll>"
        f"<img{kind} width={_width(png)} alt='{escape(title)}' src='data:image/png;base64,{image}'></div>"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _width(png: bytes) -> int:
    """CSS pixels at which the figure's type is as large as the page's small print; its own are finer."""
    pixels = int.from_bytes(png[16:20], "big")  # of the header (ISO 15948)
    return round(SHOWN * pixels / DPI)


MOST_VALUES = 8
FLAT_SLOPE = 0.05  # decades per layer
FLAT_TIME_SLOPE = 0.005  # decades per time step: half a decade in a hundred


def compared(runs: Runs) -> str:
    """`6 settings, 18 runs: act = sigmoid, tanh, relu; norm = none, batch`."""
    settings = len(set(runs.labels))
    count = f"{counted(settings, 'setting')}, {counted(len(runs), 'run')}"
    detail = "; ".join(f"{key} = {_values(runs, key)}" for key in runs.keys) or ", ".join(
        dict.fromkeys(runs.labels)
    )
    return f"{count}: {detail}"


def answer(settings: pd.DataFrame) -> str:
    """Who learns, and who loses most gradient on its way to the first layer or the first time step."""
    said = _learning(settings), _flow(settings), _flow_through_time(settings)
    return " ".join(filter(None, said))


def _learning(settings: pd.DataFrame) -> str:
    learns = settings["verdict"] == "learns"
    best = _best(settings)
    if len(settings) == 1:
        return f"{settings['setting'].iloc[0]}: {settings['verdict'].iloc[0]}."
    if not learns.any():
        return "No setting learns with every seed."
    said = (
        "Every setting learns" if learns.all() else f"{int(learns.sum())} of {len(settings)} settings learn"
    )
    return f"{said}{best}."


def _best(settings: pd.DataFrame) -> str:
    """By accuracy, or by loss where no accuracy exists."""
    accuracy, loss = (settings.get(f"final_val_{name}_mean") for name in ("accuracy", "loss"))
    if accuracy is not None and np.isfinite(accuracy).any():
        row = settings.iloc[int(accuracy.argmax())]
        return f"; the most accurate is {row['setting']} ({row['final_val_accuracy_mean']:.1%})"
    if loss is not None and np.isfinite(loss).any():
        row = settings.iloc[int(loss.where(np.isfinite(loss)).argmin())]
        return f"; the lowest loss is that of {row['setting']} ({row['final_val_loss_mean']:.3g})"
    return ""


def _flow(settings: pd.DataFrame) -> str:
    """The setting whose slope at the start is furthest from flat."""
    worst = _steepest(settings, "gradient_slope")
    if worst is None:
        return ""
    if abs(worst["gradient_slope_mean"]) < FLAT_SLOPE:
        return "Gradients pass through all layers about unchanged at the start."
    return _told(settings, worst, "gradient_slope", "per layer towards the input")


def _flow_through_time(settings: pd.DataFrame) -> str:
    worst = _steepest(settings, "time_slope")
    if worst is None:
        return ""
    if abs(worst["time_slope_mean"]) < FLAT_TIME_SLOPE:
        return "Through time gradients pass about unchanged at the start."
    return _told(settings, worst, "time_slope", "per time step towards the first")


def _steepest(settings: pd.DataFrame, name: str) -> pd.Series[Any] | None:
    slope = settings.get(f"{name}_mean")
    if slope is None or not np.isfinite(slope).any():
        return None
    return settings.iloc[int(slope.abs().argmax())]


def _told(settings: pd.DataFrame, worst: pd.Series[Any], name: str, where: str) -> str:
    slope = worst[f"{name}_mean"]
    way = "shrink" if slope > 0 else "grow"
    who = "gradients" if len(settings) == 1 else f"in {worst['setting']} gradients"
    return f"At the start {who} {way} by a factor of {10 ** abs(slope):.3g} {where}" + (
        "." if len(settings) == 1 else ", more than in any other setting."
    )


def _values(runs: Runs, key: str) -> str:
    values = dict.fromkeys(
        shown(flat[key]) for flat in map(flatten, (run.choices for run in runs)) if key in flat
    )
    listed = list(values)[:MOST_VALUES]
    return ", ".join(listed) + (f" and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else "")


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
    profiles, profile = layer_sparklines(runs), "gradient by layer"
    if not profiles:
        profiles, profile = time_sparklines(runs), "gradient by time step"
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
