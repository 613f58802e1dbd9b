"""Writes the page, tables and figures of a chapter, and the book of all chapters that have been run."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from vanishgrad.files import replace_file
from vanishgrad.folders import make_folder
from vanishgrad.lab.chapter import Chapter, Profile
from vanishgrad.lab.claim import Conclusion, Evidence
from vanishgrad.lab.page import (
    MEASUREMENTS_FILE,
    book,
    claims_table,
    measurements_table,
    read_claims,
    section,
)
from vanishgrad.lab.valley import opening
from vanishgrad.records import CLAIMS_FILE
from vanishgrad.report.gallery import save_figure
from vanishgrad.rows import read_text, written

SECTION_FILE = "section.html"  # in the folder of a chapter
PAGE_FILE = "index.html"
FIGURES = "figures"
COLOURS = 256


def write_chapter(
    folder: Path, number: int, chapter: Chapter, evidence: Evidence, profile: Profile
) -> list[Conclusion]:
    """Draw the figures of a chapter, test its claims and keep both for the book.

    Arguments:
        folder: of the lab.
        number: of the chapter.
        chapter: itself.
        evidence: what its experiments measured.
        profile: that was run.
    """
    conclusions = [claim(evidence) for claim in chapter.claims]
    own, figures = folder / chapter.name, folder / FIGURES
    for place in (own, figures):
        make_folder("out", place)
    pictures = {
        plate.name: _saved(plate.draw(evidence), figures / f"{chapter.name}_{plate.name}")
        for plate in chapter.plates
    }
    text = section(number, chapter, conclusions, pictures, profile)
    replace_file(own / SECTION_FILE, text.encode())
    _write_table(own / MEASUREMENTS_FILE, measurements_table(chapter.name, conclusions))
    _write_table(
        own / CLAIMS_FILE, claims_table(chapter.name, conclusions)
    )  # last: it says that all is there
    return conclusions


def is_written(folder: Path, chapter: Chapter) -> bool:
    """Whether a chapter is there for the book."""
    return (folder / chapter.name / CLAIMS_FILE).exists()


def write_book(folder: Path, chapters: Sequence[Chapter], profile: Profile) -> Path:
    """Put the chapters that have been run together; gives the page."""
    done = [one for one in chapters if is_written(folder, one)]
    sections = {one.name: (folder / one.name / SECTION_FILE).read_text(encoding="utf-8") for one in done}
    claims = pd.concat([read_claims(folder / one.name) for one in done], ignore_index=True)
    values = pd.concat([read_text(folder / one.name / MEASUREMENTS_FILE) for one in done])
    make_folder("out", folder / FIGURES)
    first = _saved(opening(), folder / FIGURES / "opening")
    _write_table(folder / MEASUREMENTS_FILE, values)
    _write_table(folder / CLAIMS_FILE, claims)
    text = book(chapters, sections, claims, first, profile)
    replace_file(folder / PAGE_FILE, text.encode())
    return folder / PAGE_FILE


def _saved(figure: Figure, path: Path) -> bytes:
    """Write a figure as PNG and SVG; gives the PNG, in 256 colours, which is a third of the size."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(save_figure(figure, path))) as image:
        few = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        few.save(buffer, "PNG", optimize=True)
    replace_file(path.with_suffix(".png"), buffer.getvalue())
    return buffer.getvalue()


def _write_table(path: Path, table: pd.DataFrame) -> None:
    replace_file(path, written(table, 6))
