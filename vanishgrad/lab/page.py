"""The book: all chapters that have been run, as one self-contained page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

import pandas as pd

from vanishgrad.lab.chapter import Chapter
from vanishgrad.lab.claim import HOLDS
from vanishgrad.lab.experiment import Profile
from vanishgrad.lab.results import tally
from vanishgrad.lab.section_html import chip
from vanishgrad.report.page import HERE as REPORT

HERE = Path(__file__).parent
QUICK = (
    "Quick profile: two seeds and short training, to see whether everything works. What holds is said by the "
    "full lab."
)
OPENING = (
    "Gradient descent from the same start with three rates, on a valley ten times as steep across as along: "
    "too small a rate creeps, a good one arrives, too large a one is thrown out."
)


def page(
    chapters: Sequence[Chapter], sections: Mapping[str, str], claims: pd.DataFrame, opening: bytes,
    profile: Profile,
) -> str:  # fmt: skip
    """HTML that needs nothing beside itself.

    Arguments:
        chapters: all there are, in their order.
        sections: HTML of those that have been run, by name.
        claims: the table of their claims.
        opening: the first picture, a PNG.
        profile: that was run.
    """
    count = len(claims.drop_duplicates(["chapter", "claim"]))
    return Template((HERE / "page.html").read_text(encoding="utf-8")).substitute(
        style=_text(REPORT / "page.css") + _text(HERE / "lab.css"),
        answer=escape(f"{count} claims about deep networks and their gradients: {tally(claims)}."),
        note=f"<p class=note>{escape(QUICK)}</p>" if profile == "quick" else "",
        opening=_opening(opening),
        contents="\n".join(_entry(one, one.name in sections, claims) for one in chapters),
        unusual=_unusual(claims),
        chapters="\n".join(sections[one.name] for one in chapters if one.name in sections),
    )


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _opening(png: bytes) -> str:
    image = b64encode(png).decode("ascii")
    return (
        "<figure class=opening><div class=scroll><img class=picture alt='Gradient descent on a surface' "
        f"src='data:image/png;base64,{image}'></div><figcaption>{escape(OPENING)}</figcaption></figure>"
    )


def _entry(chapter: Chapter, has_run: bool, claims: pd.DataFrame) -> str:
    """A line of the contents."""
    title = escape(chapter.title)
    if not has_run:
        return f"<li>{title}<small>not run yet</small></li>"
    said = tally(claims[claims["chapter"] == chapter.name])
    return f"<li><a href='#{chapter.name}'>{title}</a><small>{said}</small></li>"


def _unusual(claims: pd.DataFrame) -> str:
    """The claims that do not simply hold, which are the news."""
    each = claims.drop_duplicates(["chapter", "claim"])
    items = "".join(
        f"<li><a href='#{row.chapter}'>{escape(str(row.claim))}</a>: {chip(str(row.verdict))}</li>"
        for row in each[each["verdict"] != HOLDS].itertuples()
    )
    count = len(each[each["verdict"] != HOLDS])
    title = f"What is too simply said: {count} of {len(each)} claims"
    return f"<details class=unusual><summary>{title}</summary><ul>{items}</ul></details>" if items else ""
