"""The settings table of the page: only columns in which some setting has a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import NamedTuple

import numpy as np
import pandas as pd

from vanishgrad.records import METRIC_COLUMNS
from vanishgrad.report.cells_html import data_values, heading, number_cell, verdict_chip
from vanishgrad.report.findings import Advised


class Column(NamedTuple):
    """A column of numbers: its heading, its name in settings.csv without `_mean`, how it is written."""

    heading: str
    name: str
    form: str


LEARNED = (
    Column("val. accuracy", "final_val_accuracy", "{:.3f}"),
    Column("val. loss", "final_val_loss", "{:.3g}"),
)
SLOPES = (
    Column("slope at start", "gradient_slope", "{:+.3f}"),
    Column("slope at end", "gradient_slope_final", "{:+.3f}"),
    Column("time slope", "time_slope", "{:+.4f}"),
)
BASELINES = {"baseline_val_accuracy": "baseline accuracy", "baseline_val_loss": "baseline loss"}
FRACTIONS = ("final_val_accuracy",)


@dataclass(frozen=True)
class Beside:
    """What the table shows of a setting beside its numbers, each by the setting's label.

    Arguments:
        keys: the columns of the choices that varied.
        colours: of the setting in the figures, where it is the only one in its panel that has it.
        profiles: small drawings of the gradient by layer, or by time step; `profile` says which.
        advice: the worst that was found, and what to do about it.
        profile: the heading of the drawings.
    """

    keys: tuple[str, ...] = ()
    colours: Mapping[str, str] = field(default_factory=dict)
    profiles: Mapping[str, str] = field(default_factory=dict)
    advice: Mapping[str, Advised] = field(default_factory=dict)
    profile: str = "gradient by layer"


def settings_head(settings: pd.DataFrame, beside: Beside) -> str:
    """The cells of the head."""
    headings = ["setting", "verdict", *[beside.profile] * bool(beside.profiles)]
    headings += [column.heading for column in _columns(settings)]
    headings += [*(heading for _, heading in _varied_baselines(settings)), "runs"]
    return "\n".join(map(heading, headings))


def settings_rows(settings: pd.DataFrame, beside: Beside) -> str:
    """One row per setting: numbers are sorted by `data-value`, not by what is shown."""
    columns, baselines = _columns(settings), _varied_baselines(settings)
    return "\n".join(_row(row, columns, baselines, beside) for _, row in settings.iterrows())


def _columns(settings: pd.DataFrame) -> list[Column]:
    return [column for column in (*LEARNED, *_further(settings), *SLOPES) if _measured(settings, column.name)]


def _further(settings: pd.DataFrame) -> list[Column]:
    """Final metrics beside loss and accuracy, such as bits per character."""
    known = {f"final_{name}" for name in METRIC_COLUMNS}
    means = [str(name).removesuffix("_mean") for name in settings if str(name).endswith("_mean")]
    names = [name for name in means if name.startswith("final_") and name not in known]
    return [Column(name.removeprefix("final_").replace("_", " "), name, "{:.3g}") for name in names]


def _measured(settings: pd.DataFrame, name: str) -> bool:
    mean = settings.get(f"{name}_mean")
    return mean is not None and bool(np.isfinite(mean).any())


def _varied_baselines(settings: pd.DataFrame) -> list[tuple[str, str]]:
    """Baselines that need a column, because settings differ in them."""
    return [item for item in BASELINES.items() if settings.get(item[0], pd.Series()).nunique() > 1]


def _row(
    row: pd.Series, columns: Sequence[Column], baselines: Sequence[tuple[str, str]], beside: Beside
) -> str:
    setting, verdict = str(row["setting"]), str(row["verdict"])
    count = f"{row['runs']}" + (f" ({row['diverged']} diverged)" if row["diverged"] else "")
    return (
        f"<tr data-values='{data_values(row, beside.keys)}'>"
        f"<th scope=row{_key(beside.colours.get(setting))}>{escape(setting)}</th>"
        f"<td class=said data-label=verdict>{verdict_chip(verdict)}{_told(beside.advice.get(setting))}</td>"
        + _profile(row, setting, beside)
        + "".join(_cell(row, column) for column in columns)
        + "".join(number_cell(row[name], "{:.3g}", label) for name, label in baselines)
        + f"<td data-label=runs data-value='{row['runs']}'>{count}</td></tr>"
    )


def _key(colour: str | None) -> str:
    """The colour that the setting has in the figures."""
    return f" class=key style='--key:{colour}'" if colour else ""


def _told(advised: Advised | None) -> str:
    """The worst finding in a sentence, and what to try against it."""
    if advised is None:
        return ""
    tried = f" Try <code>{escape(advised.remedy)}</code>." if advised.remedy else ""
    return f"<small>{escape(advised.sentence)}{tried}</small>"


def _profile(row: pd.Series, setting: str, beside: Beside) -> str:
    if not beside.profiles:
        return ""
    name = "gradient_slope_mean" if beside.profile.endswith("layer") else "time_slope_mean"
    slope = row.get(name, float("nan"))
    value = f"{slope:.9g}" if np.isfinite(slope) else ""
    return f"<td data-label='{beside.profile}' data-value='{value}'>{beside.profiles.get(setting, '–')}</td>"


def _cell(row: pd.Series, column: Column) -> str:
    """Mean and spread."""
    mean, spread = row[f"{column.name}_mean"], row[f"{column.name}_spread"]
    around = f" <small>± {column.form.replace('+', '').format(spread)}</small>" if np.isfinite(spread) else ""
    return number_cell(mean, column.form, column.heading, around, share=column.name in FRACTIONS)
