"""What a report is asked for: which figures, in which files, in which style."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vanishgrad.errors import one_of, require
from vanishgrad.report.exhibits import ALIASES, EXHIBITS, Exhibit

FORMATS = ("svg", "pdf", "png")
STYLES = ("screen", "paper")


@dataclass(frozen=True)
class Wanted:
    """Which figures a report has and how they are written; checked when it is made.

    Arguments:
        figures: names of figures; None: all.
        formats: of the files beside the PNG, which the page needs anyway.
        style: `screen`, or `paper`: the width of a column, serif type, no titles.
    """

    figures: tuple[str, ...] | None = None
    formats: tuple[str, ...] = ("svg",)
    style: str = "screen"

    def __post_init__(self) -> None:
        names = [exhibit.name for exhibit in EXHIBITS]
        require(self.figures != (), f"figures=[]: name at least one of {', '.join(names)}")
        require(self.formats != (), f"format=[]: name at least one of {', '.join(FORMATS)}")
        for name in self.figures or ():
            one_of("figures", ALIASES.get(name, name), names)
        for kind in self.formats:
            one_of("format", kind, FORMATS)
        one_of("style", self.style, STYLES)

    @property
    def exhibits(self) -> Sequence[Exhibit]:
        """The figures in the order of the report."""
        if self.figures is None:
            return EXHIBITS
        names = {ALIASES.get(name, name) for name in self.figures}
        return [exhibit for exhibit in EXHIBITS if exhibit.name in names]

    @property
    def is_paper(self) -> bool:
        return self.style == "paper"
