"""The cells that the page's tables are made of; everything that users named is escaped."""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape

import numpy as np
import pandas as pd

from vanishgrad.report.labels import shown


def heading(text: str) -> str:
    """A cell of the head by which the table is sorted."""
    return f'<th scope="col"><button>{escape(text)}</button></th>'


def number_cell(value: float, form: str, label: str, around: str = "", *, share: bool = False) -> str:
    """A number with what it is sorted by, a dash where nothing finite was measured.

    `around` is HTML that follows it; a `share` of 1 has a bar behind it. Cards on a phone show the `label`.
    """
    said = f"data-label='{escape(label)}'"
    if not np.isfinite(value):
        return f"<td {said} data-value=''>–</td>"
    bar = f" class=share style='--part:{min(max(value, 0), 1):.3f}'" if share else ""
    return f"<td {said}{bar} data-value='{value:.9g}'><span>{form.format(value)}{around}</span></td>"


def verdict_chip(verdict: str) -> str:
    """The verdict in its colour; seeds that disagree have none."""
    kind = verdict.split(" ")[0].rstrip(",") if "," not in verdict else "mixed"
    return f"<span class='verdict {escape(kind)}'>{escape(verdict.replace('_', ' '))}</span>"


def data_values(row: pd.Series, keys: Iterable[str]) -> str:
    """The choices of a row as JSON, with its verdict: what the page filters by."""
    return escape(json.dumps({key: value_text(row[key]) for key in (*keys, "verdict")}))


def value_text(value: object) -> str:
    """A value of a column as it is typed; empty where the setting does not have that choice."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    plain = value.item() if isinstance(value, np.generic) else value
    return shown(plain) if isinstance(plain, str | float | bool) else str(plain)
