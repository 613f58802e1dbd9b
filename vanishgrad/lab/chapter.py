"""A chapter of the lab: text, experiments, figures, claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from matplotlib.figure import Figure

from vanishgrad.lab.claim import Claim
from vanishgrad.lab.evidence import Evidence
from vanishgrad.lab.experiment import Experiment

TEXTS = Path(__file__).parent / "chapters"


@dataclass(frozen=True)
class Plate:
    """A figure of a chapter.

    Arguments:
        name: of its file.
        caption: what to look at in it.
        draw: draws it from the tables.
        is_picture: whether its colours mean something, so that a dark page leaves them alone.
    """

    name: str
    caption: str
    draw: Callable[[Evidence], Figure]
    is_picture: bool = False


@dataclass(frozen=True)
class Chapter:
    """A chapter; its text is in `chapters/NAME.md`.

    Arguments:
        name: by which `vanishgrad lab chapter=NAME` asks for it.
        title: its heading.
        experiments: what is measured, in the order in which the text speaks of it.
        plates: the figures; the text says where each stands, those it does not name follow it.
        claims: in the order of the table.
    """

    name: str
    title: str
    experiments: Sequence[Experiment]
    plates: Sequence[Plate]
    claims: Sequence[Claim]

    @cached_property
    def text(self) -> str:
        return (TEXTS / f"{self.name}.md").read_text(encoding="utf-8")
