"""The figures of some runs as files, for a screen or for paper: the same bytes for the same figure."""

from __future__ import annotations

import gc
import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

from vanishgrad.files import replace_file, writing
from vanishgrad.folders import make_folder
from vanishgrad.forks import shared
from vanishgrad.report.exhibits import EXHIBITS, Exhibit, Wanted
from vanishgrad.report.extras import EXTRAS
from vanishgrad.report.figures.canvas import note
from vanishgrad.report.figures.palette import Palette, palette
from vanishgrad.report.runs import Runs
from vanishgrad.report.tables import DERIVED, Selection

SUFFIXES = (".png", ".svg", ".pdf")


def save_figure(
    figure: Figure, path: Path, formats: Sequence[str] = ("svg",), dpi: float | None = None
) -> bytes:
    """Write `path`.png and the other `formats`; returns the PNG."""
    png = figure_png(figure, dpi)
    replace_file(path.with_suffix(".png"), png)
    figure.set_layout_engine("none")  # drawing the PNG solved the layout
    with _quietly():
        if "svg" in formats:
            svg, text = FigureCanvasSVG(figure), io.StringIO()
            svg.print_svg(text, metadata={"Date": None})  # type: ignore[no-untyped-call]
            replace_file(path.with_suffix(".svg"), text.getvalue().encode())
        if "pdf" in formats:
            pdf, buffer = FigureCanvasPdf(figure), io.BytesIO()
            pdf.print_pdf(buffer, metadata={"CreationDate": None})  # type: ignore[no-untyped-call]
            replace_file(path.with_suffix(".pdf"), buffer.getvalue())
    return png


def figure_png(figure: Figure, dpi: float | None = None) -> bytes:
    """The PNG of a figure, by default in its own resolution."""
    buffer = io.BytesIO()
    if dpi is not None:
        figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    with _quietly():
        canvas.print_png(buffer)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


@contextmanager
def _quietly() -> Iterator[None]:
    """Let names be in any script, and ids in an SVG not depend on chance."""
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "vanishgrad"}):
        warnings.filterwarnings("ignore", "Glyph .* missing")
        warnings.filterwarnings("ignore", "Matplotlib currently does not support")
        yield


COLUMN, PAGE = 3.4, 7.0  # inches: one column, and both with the space between them
SCALE = 0.75
SMALLEST, LARGEST = 6.0, 8.5  # points
SERIF = ["STIXGeneral", "DejaVu Serif"]  # both come with matplotlib; the first looks like Times
LOWEST = 2.2  # inches
LEGEND_CHARACTER = 0.06


def serif() -> AbstractContextManager[None]:
    """Draw and save figures in serif type that stays text in a PDF: `with serif(): ...`."""
    return rc_context(
        {"font.family": "serif", "font.serif": SERIF, "mathtext.fontset": "stix", "pdf.fonttype": 42}
    )


def fit_for_paper(figure: Figure) -> str:
    """Change a figure to the size and the type of a paper.

    Returns the text of its title and notes, which belong into the caption there.
    """
    parts = [figure.get_suptitle(), figure.get_supxlabel()]
    target = PAGE if _columns(figure) > 1 else COLUMN
    _without_titles(figure)
    _legend_below(figure, target)
    width, height = figure.get_size_inches()
    figure.set_size_inches(target, max(LOWEST, height * max(SCALE * 0.9, target / width)))
    _thin(figure)
    return ". ".join(filter(None, parts))


def _columns(figure: Figure) -> int:
    """The number of panels side by side."""
    places = (axes.get_subplotspec() for axes in figure.axes)
    return max((place.get_gridspec().ncols for place in places if place is not None), default=1)


def _without_titles(figure: Figure) -> None:
    """Hide the title and the notes: both belong into the caption."""
    for text in (figure._suptitle, figure._supxlabel):  # type: ignore[attr-defined]
        if text is not None:
            text.set_visible(False)
            text.set_in_layout(False)


def _legend_below(figure: Figure, width: float) -> None:
    """A column has no room to the right of the panels: a single legend goes below them."""
    legends = [legend for axes in figure.axes if (legend := axes.get_legend()) is not None]
    if len(legends) != 1 or figure.legends:
        return
    texts = [text.get_text() for text in legends[0].get_texts()]
    longest = max((len(line) for text in texts for line in text.splitlines()), default=1)
    count = max(1, min(len(texts), int(width / (LEGEND_CHARACTER * longest + 0.45))))
    handles = [handle for handle in legends[0].legend_handles if handle is not None]
    legends[0].remove()
    figure.legend(handles, texts, loc="outside lower center", ncols=count, frameon=False, fontsize=9)


def _thin(figure: Figure) -> None:
    for text in figure.findobj(Text):
        text.set_fontsize(min(LARGEST, max(SMALLEST, SCALE * float(text.get_fontsize()))))
    for axes in figure.axes:
        axes.tick_params(labelsize=SCALE * 9, width=0.6, length=2.5)
        for line in axes.get_lines():
            line.set_linewidth(SCALE * line.get_linewidth())
            line.set_markersize(SCALE * line.get_markersize())
    for legend in (*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))):
        _thin_legend(legend)


def _thin_legend(legend: Legend) -> None:
    for text in legend.get_texts():
        text.set_fontsize(SCALE * 9)


Compute: TypeAlias = Callable[[Runs], pd.DataFrame]


@contextmanager
def computing(
    computed: Mapping[str, Compute], runs: Runs, wanted: Wanted
) -> Iterator[Iterable[tuple[str, pd.DataFrame]]]:
    """The tables that this room cannot make, by name; what is done inside may go on at the same time.

    What computes them takes memory, which is free again when figures are drawn.
    """
    names = dict.fromkeys(one.table for one in wanted.exhibits if one.table in computed)
    groups = [list(names)] if names else []
    with shared(lambda group: [(name, computed[name](runs)) for name in group], groups) as tables:
        yield (pair for part in tables for pair in part)


CAPTIONS = "captions.txt"


class Drawn(NamedTuple):
    """A figure that stands in its files: its PNG for the page, and the caption that it has in a paper."""

    png: bytes
    caption: str | None = None


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
        computed: tables that this room cannot make, by name; without one its figure is left out.
    """

    def __init__(
        self,
        runs: Runs,
        summary: pd.DataFrame,
        selected: Selection | None = None,
        wanted: Wanted | None = None,
        computed: Mapping[str, pd.DataFrame] | None = None,
    ) -> None:
        self.runs, self.summary = runs, summary
        self.labels, self.left_out = selected or Selection(runs.labels)
        self.colours = palette(self.labels)
        self.wanted, self.computed = wanted or Wanted(), computed or {}

    @contextmanager
    def drawn(self, folder: Path) -> Iterator[Iterable[Picture]]:
        """Draw every figure to `folder`, in which no file of an earlier report stays.

        What is done inside, before the pictures are asked for, may go on at the same time.
        """
        make_folder("out", folder)
        for file in (CAPTIONS, *(f"{one.name}{suffix}" for one in EXHIBITS for suffix in SUFFIXES)):
            with writing(folder / file):
                (folder / file).unlink(missing_ok=True)
        _ = self.runs.gradients, self.runs.metrics  # so that every process has them
        exhibits = {one.name: one for one in self.wanted.exhibits}
        with shared(lambda name: self._picture(exhibits[name], folder), list(exhibits)) as drawn:
            yield self._pictures(exhibits, drawn, folder)

    def _pictures(
        self, exhibits: Mapping[str, Exhibit], drawn: Iterable[Drawn | None], folder: Path
    ) -> Iterator[Picture]:
        """What was drawn, whose captions are written."""
        found = dict(zip(exhibits, drawn, strict=True))
        captions = [f"{name}: {one.caption}\n" for name in exhibits if (one := found[name]) and one.caption]
        if captions:
            replace_file(folder / CAPTIONS, "".join(captions).encode())
        for name, exhibit in exhibits.items():
            one = found[name]
            yield Picture(exhibit, None if one is None else one.png)

    def _picture(self, exhibit: Exhibit, folder: Path) -> Drawn | None:
        """Draw a figure; None when the runs lack what it needs."""
        table = self.table_of(exhibit)
        if not _has_any(table, exhibit.needs):
            return None
        drawn = self._drawn(exhibit, table, folder)
        gc.collect()  # a figure is a cycle: what it takes would stay until there are many
        return drawn

    def table_of(self, exhibit: Exhibit) -> pd.DataFrame:
        """The table that an exhibit is drawn from, of the selected settings."""
        table = self._whole_table(exhibit.table)
        is_part = bool(self.left_out) and not exhibit.is_whole and "setting" in table
        return table[table["setting"].isin(self.labels)] if is_part else table

    def _whole_table(self, name: str) -> pd.DataFrame:
        match name:
            case _ if name in self.computed:
                return self.computed[name]
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

    def _drawn(self, exhibit: Exhibit, table: pd.DataFrame, folder: Path) -> Drawn:
        """The PNG for the page, which is always made for a screen."""
        figure = self._figure(exhibit, table)
        path = folder / exhibit.name
        if not self.wanted.is_paper:
            return Drawn(save_figure(figure, path, self.wanted.formats))
        png = figure_png(figure)
        with serif():
            printed = self._figure(exhibit, table)
            caption = fit_for_paper(printed)
            save_figure(printed, path, self.wanted.formats, dpi=300)
        return Drawn(png, f"{caption}. {exhibit.caption}")

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
