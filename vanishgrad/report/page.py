"""The page of a report: what it says, filled into templates/page.html."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from vanishgrad.diagnosis import Finding
from vanishgrad.diagnosis.describe import SLOPE_LEGEND, TIME_SLOPE_LEGEND, Flow, Where, headline
from vanishgrad.records import flatten
from vanishgrad.report.figures.canvas import DPI
from vanishgrad.report.figures.palette import Palette
from vanishgrad.report.gallery import Picture
from vanishgrad.report.labels import NOT_A_SETTING, counted, typed_value
from vanishgrad.report.runs import Noted, Runs
from vanishgrad.report.settings import (
    RowExtras,
    advice,
    layer_sparklines,
    table_of_runs,
    table_of_settings,
    time_sparklines,
    value_text,
    worst_findings,
)
from vanishgrad.report.tables import best_first, decades_at_start, too_many

TEMPLATES = Path(__file__).parent / "templates"
MOST_LISTS = 6
MOST_CHOICES = 30


@cache
def templates(*folders: Path) -> Environment:
    """The templates in `folders`, then those of the report; what they show is text unless it is Markup.

    A template asks for a stylesheet or a script next to it as `file("page.css")`; a name that nobody gave
    it is an error.
    """
    environment = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.globals["file"] = lambda name: Markup(_source(environment, name))
    return environment


def _source(environment: Environment, name: str) -> str:
    """The text of a file next to the templates."""
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


class Filter(NamedTuple):
    """A list of the values of a column, by which the page filters its rows."""

    key: str
    values: list[str]


def filters_of(settings: pd.DataFrame, keys: Iterable[str]) -> list[Filter]:
    """The lists for the verdict and the `keys`, where there are a few values to choose between."""
    lists = [Filter(key, _filter_values(settings, key)) for key in ("verdict", *keys)]
    return [one for one in lists if 1 < len(one.values) <= MOST_CHOICES][:MOST_LISTS]


def _filter_values(settings: pd.DataFrame, key: str) -> list[str]:
    """The different values of a column in their order."""
    return list(dict.fromkeys(filter(None, map(value_text, settings[key])))) if key in settings else []


SHOWN = 104  # CSS pixels per inch of a figure


class FigureView(NamedTuple):
    """A figure as a page shows it.

    Arguments:
        name: by which links find it.
        title: for those who do not see it.
        caption: under it.
        image: the PNG in base64.
        width: CSS pixels at which the figure's type is as large as the page's small print.
        is_picture: whether its colours mean something, so that a dark page leaves them alone.
    """

    name: str
    title: str
    caption: str
    image: str
    width: int
    is_picture: bool = False


def figure_view(name: str, title: str, caption: str, png: bytes, *, is_picture: bool = False) -> FigureView:
    """What the macro `figure` of figure.html shows of a PNG."""
    return FigureView(name, title, caption, base64_of(png), _width(png), is_picture)


def base64_of(content: bytes) -> str:
    """`content` as a data URI has it."""
    return b64encode(content).decode("ascii")


def _width(png: bytes) -> int:
    """From pixels, of which the figure has more than the page."""
    pixels = int.from_bytes(png[16:20], "big")  # of the header (ISO 15948)
    return round(SHOWN * pixels / DPI)


MOST_VALUES = 8
SLOPES: Mapping[Where, str] = MappingProxyType({"layers": "gradient_slope", "time": "time_slope"})


def compared(runs: Runs) -> str:
    """`6 settings, 18 runs: act = sigmoid, tanh, relu; norm = none, batch`."""
    settings = len(set(runs.labels))
    count = f"{counted(settings, 'setting')}, {counted(len(runs), 'run')}"
    detail = "; ".join(f"{key} = {_values(runs, key)}" for key in runs.keys) or ", ".join(
        dict.fromkeys(runs.labels)
    )
    return f"{count}: {detail}"


def answer(
    settings: pd.DataFrame,
    findings: Mapping[str, Finding] = MappingProxyType({}),
    decades: Mapping[tuple[str, Where], float] = MappingProxyType({}),
) -> str:
    """Who learns, and who loses most gradient on its way to the first layer or the first time step.

    Arguments:
        settings: rows of settings.csv.
        findings: the worst one of a setting, by its label.
        decades: across all layers or time steps at the start, by label and where.
    """
    sentences = [_learning(settings)]
    for where, name in SLOPES.items():
        worst = _steepest(settings, name)
        if worst is not None:
            label = str(worst["setting"])
            seen = Flow(float(worst[f"{name}_mean"]), decades.get((label, where), float("nan")))
            shown = label if len(settings) > 1 else ""
            sentences.append(headline(shown, findings.get(label), seen, where))
    return " ".join(filter(None, sentences))


def _learning(settings: pd.DataFrame) -> str:
    learns = settings["verdict"] == "learns"
    best = _best(settings)
    if len(settings) == 1:
        return f"{settings['setting'].iloc[0]}: {settings['verdict'].iloc[0]}."
    if not learns.any():
        return "No setting learns with every seed."
    count = (
        "Every setting learns" if learns.all() else f"{int(learns.sum())} of {len(settings)} settings learn"
    )
    return f"{count}{best}."


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


def _steepest(settings: pd.DataFrame, name: str) -> pd.Series[Any] | None:
    slope = settings.get(f"{name}_mean")
    if slope is None or not np.isfinite(slope).any():
        return None
    return settings.iloc[int(slope.abs().argmax())]


def _values(runs: Runs, key: str) -> str:
    values = dict.fromkeys(
        typed_value(flat[key]) for flat in map(flatten, (run.choices for run in runs)) if key in flat
    )
    listed = list(values)[:MOST_VALUES]
    return ", ".join(listed) + (f" and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else "")


MOST_SAMPLES = 4
MOST_BASELINES = 3
PROFILE = (
    "Small drawings: the gradient at the start, the input on the left, all on one logarithmic scale; the "
    "grey level is where it comes from, the dot where it arrives."
)


def report_page(
    runs: Runs,
    summary: pd.DataFrame,
    settings: pd.DataFrame,
    pictures: Iterable[Picture],
    colours: Palette | None = None,
) -> str:
    """HTML that needs no other file: figures are inlined, styles and script are in the page.

    `colours` are those of the figures; None: the table shows none. The `pictures`, which may be drawn
    meanwhile, are asked for last.
    """
    extras = _row_extras(runs, colours)
    shown = best_first(settings) if too_many(settings) else settings
    context: dict[str, Any] = {
        "compared": compared(runs),
        "shared": " ".join(_shared_overrides(runs)),
        "answer": answer(settings, worst_findings(runs), decades_at_start(runs)),
        "filters": filters_of(settings, runs.keys),
        "settings": table_of_settings(shown, extras),
        "about": _about(runs, settings, has_profiles=bool(extras.profiles)),
        "samples": _samples(runs),
        "runs": table_of_runs(runs, summary),
        "notes": _notes(runs),
    }
    return templates().get_template("page.html").render(context | _of_pictures(list(pictures)))


def _of_pictures(pictures: Sequence[Picture]) -> dict[str, Any]:
    """What the page shows of the figures."""
    figures = [_figure_view(picture) for picture in pictures if picture.png]
    return {
        "contents": {"verdicts": "Settings"} | {one.name: one.title for one in figures} | {"runs": "Runs"},
        "figures": figures,
        "left_out": ", ".join(_left_out(pictures)),
    }


def _row_extras(runs: Runs, colours: Palette | None) -> RowExtras:
    """What the table of settings shows apart from numbers."""
    profiles, profile = layer_sparklines(runs), "gradient by layer"
    if not profiles:
        profiles, profile = time_sparklines(runs), "gradient by time step"
    own = {} if colours is None or not colours.panels else colours.colours
    return RowExtras(runs.keys, own, profiles, advice(runs), profile)


def _shared_overrides(runs: Runs) -> list[str]:
    """What was typed for all runs alike, but for what is no setting."""
    first, *others = [list(run.overrides) for run in runs]
    typed = [each for each in first if all(each in other for other in others)] if others else first
    return [each for each in typed if each.split("=")[0] not in (*runs.keys, *NOT_A_SETTING)]


def _figure_view(picture: Picture) -> FigureView:
    exhibit = picture.exhibit
    return figure_view(
        exhibit.name, exhibit.title, exhibit.caption, picture.png or b"", is_picture=exhibit.is_picture
    )


def _left_out(pictures: Sequence[Picture]) -> list[str]:
    """The figures that no run recorded anything for, and what they need."""
    return [
        f"{picture.exhibit.title.lower()} (needs {' or '.join(picture.exhibit.needs)})"
        for picture in pictures
        if picture.png is None and not picture.exhibit.is_extra
    ]


def _about(runs: Runs, settings: pd.DataFrame, *, has_profiles: bool) -> str:
    """What the columns of the settings table mean."""
    sentences = ["Mean ± standard deviation over seeds."]
    sentences += [PROFILE] * has_profiles
    sentences += [SLOPE_LEGEND] * bool(settings.get("gradient_slope_count", pd.Series(0)).any())
    sentences += [TIME_SLOPE_LEGEND] * ("time_slope_mean" in settings)
    baselines = [
        f"{one.metric.removeprefix('val_')} {one.value:.3g}" + (f" ({one.source})" if one.source else "")
        for one in runs.baselines[:MOST_BASELINES]
    ]
    if baselines:
        more = ", ..." if len(runs.baselines) > MOST_BASELINES else ""
        scores = "; ".join(baselines)
        sentences.append(f"Baseline, what an answer that ignores the input scores: {scores}{more}.")
    return " ".join(sentences)


def _samples(runs: Runs) -> dict[str, str]:
    """By setting, the beginning of the text that its first run's network wrote; of a few settings."""
    texts: dict[str, str] = {}
    for run, label in zip(runs, runs.labels, strict=True):
        if label not in texts and len(texts) < MOST_SAMPLES and run.sample_start:
            texts[label] = run.sample_start
    return texts


def _notes(runs: Runs) -> dict[str, Sequence[Noted]]:
    """Folders of which something could not be read, by the heading under which the page names them."""
    return {
        "Skipped folders": runs.skipped,
        "Tables cut short": runs.cut_short,
        "Files that could not be read": runs.broken_extras,
    }
