"""What every figure takes: a table of many runs, or of a single one as training and the monitor give it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.diagnosis.layers import by_layer

Drawing = TypeVar("Drawing", bound=Callable[..., Figure])
ALONE = "this run"


def of_runs(draw: Drawing) -> Drawing:
    """A figure that takes a run's own table as well, such as `result.gradients` or `monitor.frame()`."""

    @wraps(draw)
    def drawn(table: pd.DataFrame, *given: Any, **named: Any) -> Figure:
        return draw(as_runs(table), *given, **named)

    return cast(Drawing, drawn)


def as_runs(table: pd.DataFrame) -> pd.DataFrame:
    """The table with `run, setting, seed, status`, as those of the report have them; what it has stays."""
    rows = by_layer(table) if {"step", "layer", "name"} <= set(table.columns) else table
    known = {"run": ALONE, "setting": ALONE, "seed": None, "status": "completed"}
    return rows.assign(**{name: value for name, value in known.items() if name not in rows})
