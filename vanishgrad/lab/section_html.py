"""A chapter as a part of the page."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from html import escape

from vanishgrad.lab.chapter import Chapter, Plate
from vanishgrad.lab.claim import Conclusion
from vanishgrad.lab.experiment import Profile, trainings
from vanishgrad.lab.prose import figures_named, html
from vanishgrad.report.figure_html import figure_html

DIGITS = 3


def section(
    number: int, chapter: Chapter, conclusions: Sequence[Conclusion], pictures: Mapping[str, bytes],
    profile: Profile,
) -> str:  # fmt: skip
    """The HTML of a chapter: text and figures, what repeats it, its claims.

    Arguments:
        number: of the chapter.
        chapter: itself.
        conclusions: of its claims.
        pictures: PNG of each of its plates, by name.
        profile: that was run.
    """
    plates = {plate.name: _figure(chapter, plate, pictures[plate.name]) for plate in chapter.plates}
    text = html(chapter.text, plates.__getitem__)
    rest = set(plates) - set(figures_named(chapter.text))
    after = "".join(shown for name, shown in plates.items() if name in rest)
    return (
        f"<section class=chapter id='{chapter.name}'>\n<h2>{number}. {escape(chapter.title)}</h2>\n"
        f"{text}{after}{claims(conclusions)}{_commands(chapter, profile)}</section>\n"
    )


def _figure(chapter: Chapter, plate: Plate, png: bytes) -> str:
    title = plate.name.replace("_", " ").capitalize()
    name = f"{chapter.name}_{plate.name}"
    return figure_html(name, title, plate.caption, png, is_picture=plate.is_picture) + "\n"


def _commands(chapter: Chapter, profile: Profile) -> str:
    """What repeats the experiments of a chapter."""
    sweeps = [(one.name, one.command(profile)) for one in trainings(chapter.experiments)]
    whole = shlex.join(["vanishgrad", "lab", f"chapter={chapter.name}"])
    whole += "" if profile == "full" else f" profile={profile}"
    listed = "".join(
        f"<dt>{escape(name.replace('_', ' '))}</dt><dd><code>{escape(command)}</code></dd>"
        for name, command in [*sweeps, ("the whole chapter", whole)]
    )
    return f"<details class=repeat><summary>Repeat it</summary><dl>{listed}</dl></details>\n"


def claims(conclusions: Sequence[Conclusion]) -> str:
    """The table of claims."""
    heads = "".join(f"<th>{name}</th>" for name in ("claim", "expected", "measured", "verdict"))
    rows = "".join(map(_row, conclusions))
    return (
        f"<div class=scroll><table class=claims><thead><tr>{heads}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>\n"
    )


def _row(one: Conclusion) -> str:
    claim = one.claim
    measured = "".join(_measured(one, condition) for condition in one.values)
    return (
        f"<tr><th scope=row>{escape(claim.text)}<small>{escape(claim.quantity)}</small></th>"
        f"<td data-label=expected>{escape(str(claim.expected))}</td>"
        f"<td class=measured data-label=measured>{measured}</td>"
        f"<td data-label=verdict>{chip(one.verdict)}</td></tr>\n"
    )


def _measured(one: Conclusion, condition: str) -> str:
    """The number under one condition, and whether it is as expected."""
    spread, count = one.spread(condition), len(one.values[condition])
    around = f" ± {number(spread)}" if math.isfinite(spread) else ""
    name = f"<i>{escape(condition)}</i> " if condition else ""
    mark = "as-expected" if one.holds_if(condition) else "not-as-expected"
    seeds = "1 seed" if count == 1 else f"{count} seeds"
    value = number(one.mean(condition))
    return f"<span class={mark}>{name}{value}{around} <small>{seeds}</small></span>"


def chip(verdict: str) -> str:
    """A verdict, with its condition beside it."""
    kind = verdict.partition(" ")[0]
    only = verdict.startswith("holds only if")
    name, css = ("holds only if", "only-if") if only else (verdict, kind)
    condition = verdict.removeprefix("holds only if ") if only else ""
    return f"<span class='verdict {css}'>{escape(name)}</span>" + (
        f" <span class=condition>{escape(condition)}</span>" if condition else ""
    )


def number(value: float) -> str:
    """Three digits that count; very large and small numbers as powers of ten."""
    if not math.isfinite(value):
        return "not finite" if math.isnan(value) else ("∞" if value > 0 else "-∞")
    return f"{value:.{DIGITS}g}"
