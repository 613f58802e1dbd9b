"""Drawing the figures of a report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.report.derived import DERIVED
from vanishgrad.report.exhibits import EXHIBITS, Exhibit
from vanishgrad.report.extras import EXTRAS
from vanishgrad.report.figures import Palette, palette
from vanishgrad.report.figures.canvas import note
from vanishgrad.report.figures.paper import fit, serif
from vanishgrad.report.runs import Runs
from vanishgrad.report.save_figure import SUFFIXES, figure_png, save_figure
from vanishgrad.report.selection import Selection
from vanishgrad.report.wanted import Wanted

Compute: TypeAlias = Callable[[Runs], pd.DataFrame]
CAPTIONS = "captions.txt"


class Picture(NamedTuple):
    """A drawn figure; `png` is None when the runs lack what it needs."""

    exhibit: Exhibit
    png: bytes | None


class Gallery:
    """The figures of some runs.

    Arguments:
        runs: what was measured.
        summary: the same by run.
        selected: the settings to show; None: all.
        wanted: which figures, and how they are written.
        computed: tables that this room cannot make, by name; without them their figures are left out.
    """

    def __init__(
        self,
        runs: Runs,
        summary: pd.DataFrame,
        selected: Selection | None = None,
        wanted: Wanted | None = None,
        computed: Mapping[str, Compute] | None = None,
    ) -> None:
        self.runs, self.summary = runs, summary
        self.labels, self.left_out = selected or Selection(runs.labels)
        self.colours = palette(self.labels)
        self.wanted, self.computed = wanted or Wanted(), computed or {}

    def draw(self, folder: Path) -> Iterator[Picture]:
        """Draw every figure to `folder`, in which no file of an earlier report stays."""
        folder.mkdir(parents=True, exist_ok=True)
        for file in (CAPTIONS, *(f"{one.name}{suffix}" for one in EXHIBITS for suffix in SUFFIXES)):
            (folder / file).unlink(missing_ok=True)
        for exhibit in self.wanted.exhibits:
            table = self.table_of(exhibit)
            if _has_any(table, exhibit.needs):
                yield Picture(exhibit, self._drawn(exhibit, table, folder))
            else:
                yield Picture(exhibit, None)

    def table_of(self, exhibit: Exhibit) -> pd.DataFrame:
        """What an exhibit is drawn from, of the selected settings."""
        table = self._whole_table(exhibit.table)
        is_part = bool(self.left_out) and not exhibit.is_whole and "setting" in table
        return table[table["setting"].isin(self.labels)] if is_part else table

    def _whole_table(self, name: str) -> pd.DataFrame:
        match name:
            case _ if name in self.computed:
                return self.computed[name](self.runs)
            case "gradients":
                return self.runs.gradients
            case "metrics":
                return self.runs.metrics
            case "summary":
                return self.summary
            case _ if name in DERIVED:
                return DERIVED[name](self.runs, self.summary)
            case _ if name in EXTRAS:
                return self.runs.extra(name)
            case _:
                return pd.DataFrame()

    def _drawn(self, exhibit: Exhibit, table: pd.DataFrame, folder: Path) -> bytes:
        """The PNG for the page, which is always made for a screen."""
        figure = self._figure(exhibit, table)
        path = folder / exhibit.name
        if not self.wanted.is_paper:
            return save_figure(figure, path, self.wanted.formats)
        png = figure_png(figure)
        with serif():
            printed = self._figure(exhibit, table)
            caption = fit(printed)
            save_figure(printed, path, self.wanted.formats, dpi=300)
        with open(folder / CAPTIONS, "a", encoding="utf-8") as captions:
            captions.write(f"{exhibit.name}: {caption}. {exhibit.caption}\n")
        return png

    def _figure(self, exhibit: Exhibit, table: pd.DataFrame) -> Figure:
        figure = exhibit.draw(table, self._colours(exhibit, table))
        if not exhibit.is_whole:
            note(figure, self.left_out)
        return figure

    def _colours(self, exhibit: Exhibit, table: pd.DataFrame) -> Palette:
        if "setting" not in table or not exhibit.is_extra:
            return self.colours
        if self.left_out and exhibit.is_whole:
            return palette(table["setting"])
        return self.colours.only(table["setting"].unique())


def _has_any(table: pd.DataFrame, columns: tuple[str, ...]) -> bool:
    return any(_has(table[column]) for column in columns if column in table)


def _has(values: pd.Series) -> bool:
    """Whether there is a finite number or a picture."""
    return bool((values.notna() if values.dtype == object else np.isfinite(values)).any())
