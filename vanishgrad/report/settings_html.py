"""The settings table of the page: only columns in which some setting has a number."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np
import pandas as pd

from vanishgrad.records import METRIC_COLUMNS


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


def settings_head(settings: pd.DataFrame) -> str:
    """The cells of the head."""
    headings = ["setting", "verdict", *(column.heading for column in _columns(settings))]
    headings += [*(heading for _, heading in _varied_baselines(settings)), "runs"]
    return "\n".join(f'<th scope="col"><button>{escape(heading)}</button></th>' for heading in headings)


def settings_rows(settings: pd.DataFrame) -> str:
    """One row per setting: numbers are sorted by `data-value`, not by what is shown."""
    columns, baselines = _columns(settings), [name for name, _ in _varied_baselines(settings)]
    return "\n".join(_row(row, columns, baselines) for _, row in settings.iterrows())


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


def _row(row: pd.Series, columns: Sequence[Column], baselines: Sequence[str]) -> str:
    verdict = str(row["verdict"])
    kind = verdict.split(" ")[0].rstrip(",") if "," not in verdict else "mixed"
    count = f"{row['runs']}" + (f" ({row['diverged']} diverged)" if row["diverged"] else "")
    return (
        f"<tr><th scope=row>{escape(str(row['setting']))}</th>"
        f"<td><span class='verdict {escape(kind)}'>{escape(verdict.replace('_', ' '))}</span></td>"
        + "".join(_cell(row, column) for column in columns)
        + "".join(_number(row[name], "{:.3g}") for name in baselines)
        + f"<td data-value='{row['runs']}'>{count}</td></tr>"
    )


def _cell(row: pd.Series, column: Column) -> str:
    """Mean and spread."""
    mean, spread = row[f"{column.name}_mean"], row[f"{column.name}_spread"]
    around = f" <small>± {column.form.replace('+', '').format(spread)}</small>" if np.isfinite(spread) else ""
    return _number(mean, column.form, around)


def _number(value: float, form: str, around: str = "") -> str:
    """A dash where nothing finite was measured."""
    if not np.isfinite(value):
        return "<td data-value=''>–</td>"
    return f"<td data-value='{value:.9g}'>{form.format(value)}{around}</td>"
