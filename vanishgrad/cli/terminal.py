"""What a command prints: consoles, lines, notes, bars, and signs of life."""

from __future__ import annotations

import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event
from typing import Any, NamedTuple, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.live import Live
from rich.segment import Segment
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from vanishgrad.forks import Aside, still
from vanishgrad.printing import has_room_for, printable

NARROWEST, WIDEST_LINE, MOST_LINES = 20, 1000, 1000  # that are believed of COLUMNS and LINES


class PrintableConsole(Console):
    """A console that prints text as it is: nothing in it is markup, an emoji or an escape code.

    Arguments:
        stderr: whether it prints to standard error.
        file: to what else it prints.
    """

    def __init__(self, stderr: bool = False, file: TextIO | None = None, **more: Any) -> None:
        environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")}
        told = {
            "width": _number("COLUMNS", NARROWEST, WIDEST_LINE),
            "height": _number("LINES", 1, MOST_LINES),
            "_environ": environment,
        }
        super().__init__(
            stderr=stderr, file=file, highlight=False, markup=False, emoji=False, **(told | more)
        )  # fmt: skip

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Its segments, of which rich's own alone control the terminal."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(printable(text, keep="\n"), style)


def _number(name: str, least: int, most: int) -> int | None:
    """A size that the environment tells, within reason; None where it tells none."""
    text = os.environ.get(name, "")
    if not (text.isascii() and text.isdigit()) or set(text) == {"0"}:
        return None
    return max(least, min(most, int(text[:9])))


def line(console: Console, *parts: str | tuple[str, str]) -> None:
    """Print one line, however long and whatever is in it; a part is a text, or one with its style."""
    shown = [printable(part) if isinstance(part, str) else (printable(part[0]), part[1]) for part in parts]
    console.print(Text.assemble(*shown), soft_wrap=True)


def say(text: str) -> None:
    """A line on standard error."""
    print(printable(text), file=sys.stderr, flush=True)


def print_json(document: Any) -> None:
    """Print a document of strict JSON; what the encoding has no room for is escaped, as JSON does."""
    text = json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False)
    print(text if has_room_for(text, sys.stdout) else json.dumps(document, indent=2, allow_nan=False))


PATIENCE = 4.0  # seconds of silence in a file; a terminal is told sooner, since it forgets
AT_ONCE = 0.5
FRAME = 0.1  # seconds between two pictures of what turns


@contextmanager
def working(what: str) -> Iterator[None]:
    """Inside, standard error tells what takes its time: a terminal for as long, a file once.

    Arguments:
        what: goes on, such as "reading the runs".
    """
    console, live, over = PrintableConsole(stderr=True), None, Event()
    if console.is_terminal and not console.is_dumb_terminal:
        spinner = Spinner("line", Text(f"{what} ..."))  # of characters that every terminal has
        live = Live(spinner, console=console, transient=True, redirect_stdout=False, auto_refresh=False)

    def tell() -> None:
        if over.wait(PATIENCE if live is None else AT_ONCE):
            return
        with still:
            say(f"{what} ...") if live is None else live.start(refresh=True)
        while live is not None and not over.wait(FRAME):
            with still:
                live.refresh()

    aside = Aside(tell)
    aside.start()
    try:
        yield
    finally:
        over.set()
        aside.join()
        if live is not None:
            live.stop()


def show(console: Console, *renderables: RenderableType) -> None:
    """Print; where nobody watches, no line ends in blanks, which would be noise in a file."""
    if console.is_terminal:
        console.print(*renderables, sep="\n")
        return
    with console.capture() as captured:
        console.print(*renderables, sep="\n")
    lines = captured.get().removesuffix("\n").split("\n")
    console.out("\n".join(line.rstrip() for line in lines), highlight=False)


@contextmanager
def notes() -> Iterator[None]:
    """Inside, a UserWarning is one line on stderr, once: `note: ...`."""
    shown = set[str]()

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: TextIO | None = None, line: str | None = None,
    ) -> None:  # fmt: skip
        text = " ".join(str(message).split())
        if text not in shown:
            shown.add(text)
            say(f"note: {text}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


WIDEST = 110  # columns of a terminal that are used
SHOWN = 5  # rows at the beginning, in the middle and at the end of a long table
EIGHTHS = " ▏▎▍▌▋▊▉█"

Norms = dict[int, float]


class Scale(NamedTuple):
    """A logarithmic axis from 10^low to 10^high, `cells` characters long; `empty` where no norm is on it."""

    low: int
    high: int
    cells: int
    empty: bool = False

    def __str__(self) -> str:
        return "" if self.empty else f"1e{self.low:+03d} to 1e{self.high:+03d}"

    @classmethod
    def over(cls, norms: Iterable[float], cells: int) -> Scale:
        """The axis of whole decades that holds every norm that is finite and not 0."""
        decades = [math.log10(norm) for norm in norms if math.isfinite(norm) and norm > 0]
        if not decades:
            return cls(0, 1, cells, empty=True)
        low, high = math.floor(min(decades)), math.ceil(max(decades))
        return cls(low, max(high, low + 1), cells)

    def bar(self, norm: float, ascii_only: bool) -> str:
        """A bar of eighths of a character; the shortest for what is there at all, none for 0."""
        if math.isnan(norm) or norm <= 0:
            return ""
        share = 1.0 if math.isinf(norm) else (math.log10(norm) - self.low) / (self.high - self.low)
        eighths = max(1, round(8 * self.cells * share))
        if ascii_only:
            return "#" * math.ceil(eighths / 8)
        return EIGHTHS[8] * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def bar_table(
    console: Console,
    heading: str,
    moments: Mapping[str, Norms],
    quantity: str,
    name: Callable[[int], str] = str,
) -> Table:
    """A row for every place (a layer, a time step), a number and a bar for every moment.

    Arguments:
        console: where it will be printed; says how wide, and in which characters.
        heading: of the places.
        moments: the name of a moment -> place -> norm.
        quantity: what the norms are of.
        name: of a place.
    """
    cells = (min(console.width, WIDEST) - 7) // len(moments) - 11
    scale = Scale.over((norm for norms in moments.values() for norm in norms.values()), max(8, cells))
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column(heading, justify="right", min_width=6)
    for moment in moments:
        table.add_column(moment, justify="right", no_wrap=True, min_width=7)
        table.add_column(f"{quantity}\n{scale}", no_wrap=True, min_width=scale.cells)
    for place in selected(sorted(next(iter(moments.values())))):
        if place is None:
            table.add_row("...")
            continue
        norms = [found.get(place, math.nan) for found in moments.values()]
        table.add_row(name(place), *(cell for norm in norms for cell in _cells(console, norm, scale)))
    return table


def _cells(console: Console, norm: float, scale: Scale) -> tuple[Text, Text]:
    """The number and its bar; red when it is not finite."""
    finite = math.isfinite(norm)
    number = Text("0" if norm == 0 else f"{norm:.1e}", style="" if finite else "bold red")
    bar = scale.bar(norm, console.options.ascii_only)
    return number, Text(bar, style="cyan" if finite else "bold red")


def selected(places: Sequence[int]) -> list[int | None]:
    """All places; of many the first, the middle and the last, None standing for those between."""
    if len(places) <= 3 * SHOWN + 1:
        return list(places)
    middle = (len(places) - SHOWN) // 2
    return [*places[:SHOWN], None, *places[middle : middle + SHOWN], None, *places[-SHOWN:]]
