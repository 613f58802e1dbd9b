"""A figure as files: the same bytes for the same figure."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")


def save_figure(
    figure: Figure, path: Path, formats: Sequence[str] = ("svg",), dpi: float | None = None
) -> bytes:
    """Write `path`.png and the other `formats`; gives the PNG."""
    png = figure_png(figure, dpi)
    path.with_suffix(".png").write_bytes(png)
    figure.set_layout_engine("none")  # drawing the PNG solved the layout
    with _quietly():
        if "svg" in formats:
            svg = FigureCanvasSVG(figure)
            svg.print_svg(path.with_suffix(".svg"), metadata={"Date": None})  # type: ignore[no-untyped-call]
        if "pdf" in formats:
            pdf = FigureCanvasPdf(figure)
            pdf.print_pdf(path.with_suffix(".pdf"), metadata={"CreationDate": None})  # type: ignore[no-untyped-call]
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
    """A name may be in any script; ids in an SVG do not depend on chance."""
    with warnings.catch_warnings(), rc_context({"svg.hashsalt": "vanishgrad"}):
        warnings.filterwarnings("ignore", "Glyph .* missing")
        yield
