"""Drawing the figures of a report."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from vanishgrad.report.exhibits import EXHIBITS, Exhibit
from vanishgrad.report.figures import palette
from vanishgrad.report.figures.canvas import note
from vanishgrad.report.runs import Runs
from vanishgrad.report.selection import Selection


class Picture(NamedTuple):
    """A drawn figure; `png` is None when the runs lack what it needs."""

    exhibit: Exhibit
    png: bytes | None


def draw_gallery(
    runs: Runs, summary: pd.DataFrame, folder: Path, selected: Selection | None = None
) -> Iterator[Picture]:
    """Draw every exhibit to `folder` as PNG and SVG; one that cannot be drawn leaves no file behind.

    Arguments:
        runs: what was measured.
        summary: the same by run.
        folder: of the figures.
        selected: the settings to show; None: all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    labels, left_out = selected or Selection(runs.labels)
    colours = palette(labels)
    for exhibit in EXHIBITS:
        table = table_of(exhibit, runs, summary)
        if left_out and len(table):
            table = table[table["setting"].isin(labels)]
        if _has_any(table, exhibit.needs):
            shown = colours.only(table["setting"].unique()) if exhibit.is_extra else colours
            figure = exhibit.draw(table, shown)
            note(figure, left_out)
            yield Picture(exhibit, save_figure(figure, folder / exhibit.name))
        else:
            _remove(folder / exhibit.name)
            yield Picture(exhibit, None)


def table_of(exhibit: Exhibit, runs: Runs, summary: pd.DataFrame) -> pd.DataFrame:
    """What an exhibit is drawn from."""
    if exhibit.is_extra:
        return runs.extra(exhibit.table)
    return {"gradients": runs.gradients, "metrics": runs.metrics, "summary": summary}[exhibit.table]


def save_figure(figure: Figure, path: Path) -> bytes:
    """Write `path`.png and `path`.svg, the same bytes for the same figure; gives the PNG."""
    canvas, buffer = FigureCanvasAgg(figure), io.BytesIO()
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "vanishgrad"}):
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name may be in any script
        canvas.print_png(buffer)  # type: ignore[no-untyped-call]
        figure.set_layout_engine("none")  # drawing the PNG solved the layout
        svg = FigureCanvasSVG(figure)
        svg.print_svg(path.with_suffix(".svg"), metadata={"Date": None})  # type: ignore[no-untyped-call]
    path.with_suffix(".png").write_bytes(buffer.getvalue())
    return buffer.getvalue()


def _has_any(table: pd.DataFrame, columns: tuple[str, ...]) -> bool:
    return any(_has(table[column]) for column in columns if column in table)


def _has(values: pd.Series[Any]) -> bool:
    """Whether there is a finite number or a picture."""
    return bool((values.notna() if values.dtype == object else np.isfinite(values)).any())


def _remove(path: Path) -> None:
    """Take away the figure of an earlier report."""
    for suffix in (".png", ".svg"):
        path.with_suffix(suffix).unlink(missing_ok=True)
