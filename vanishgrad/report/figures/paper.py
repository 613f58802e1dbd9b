"""A figure as a paper prints it: the width of its columns, serif type, no title."""

from __future__ import annotations

from contextlib import AbstractContextManager

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text

COLUMN, PAGE = 3.4, 7.0  # inches: one column, and both with the space between them
SCALE = 0.75
SMALLEST, LARGEST = 6.0, 8.5  # points
SERIF = ["STIXGeneral", "DejaVu Serif"]  # both come with matplotlib; the first looks like Times
LOWEST = 2.2  # inches
LEGEND_CHARACTER = 0.06


def serif() -> AbstractContextManager[None]:
    """While a figure is drawn and saved its type is serif, and stays text in a PDF."""
    return rc_context(
        {"font.family": "serif", "font.serif": SERIF, "mathtext.fontset": "stix", "pdf.fonttype": 42}
    )


def fit(figure: Figure) -> str:
    """Make a figure fit for a paper; gives what the caption has to say in place of title and notes."""
    said = [figure.get_suptitle(), figure.get_supxlabel()]
    target = PAGE if _columns(figure) > 1 else COLUMN
    _without_titles(figure)
    _legend_below(figure, target)
    width, height = figure.get_size_inches()
    figure.set_size_inches(target, max(LOWEST, height * max(SCALE * 0.9, target / width)))
    _thin(figure)
    return ". ".join(filter(None, said))


def _columns(figure: Figure) -> int:
    """How many panels stand beside each other."""
    places = (axes.get_subplotspec() for axes in figure.axes)
    return max((place.get_gridspec().ncols for place in places if place is not None), default=1)


def _without_titles(figure: Figure) -> None:
    """The title, and what is remarked below: both belong into the caption."""
    for text in (figure._suptitle, figure._supxlabel):  # type: ignore[attr-defined]
        if text is not None:
            text.set_visible(False)
            text.set_in_layout(False)


def _legend_below(figure: Figure, width: float) -> None:
    """A column has no room beside the panels: a single legend goes below them."""
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
