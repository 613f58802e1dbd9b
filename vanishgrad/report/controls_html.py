"""What filters and sorts the page's tables: words, and a list for each choice that varied."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

import pandas as pd

from vanishgrad.report.cells_html import value_text

MOST_LISTS = 6
MOST_VALUES = 30


def controls(settings: pd.DataFrame, keys: Iterable[str]) -> str:
    """A form that the page's script shows; without a script the tables are as they are."""
    lists = [_list(key, _values(settings, key)) for key in ("verdict", *keys)]
    return (
        "<form id=controls class=controls hidden>"
        "<input name=words type=search autocomplete=off aria-label='show rows with these words' "
        "placeholder='filter: act=relu learns'>"
        + "".join(list(filter(None, lists))[:MOST_LISTS])
        + "<select name=sorting class=sorting aria-label='sort by'><option value=''>sort by</option></select>"
        "<output name=count></output></form>"
    )


def _values(settings: pd.DataFrame, key: str) -> list[str]:
    """The different values of a column in their order."""
    return list(dict.fromkeys(filter(None, map(value_text, settings[key])))) if key in settings else []


def _list(key: str, values: list[str]) -> str:
    """Nothing where there is nothing to choose between, or too much."""
    if not 1 < len(values) <= MOST_VALUES:
        return ""
    options = "".join(
        f"<option value='{escape(value)}'>{escape(value.replace('_', ' '))}</option>" for value in values
    )
    name = escape(key)
    any_value = f"<option value=''>{name}: any</option>"
    return f"<select data-key='{name}' aria-label='{name}'>{any_value}{options}</select>"
