"""A chapter as a part of the page."""

from __future__ import annotations

import io
import math
import shlex
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

import pandas as pd
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser

from vanishgrad.lab.chapter import Chapter, Plate, Profile, trainings
from vanishgrad.lab.claim import FAILS, HOLDS, ONLY_IF, Conclusion
from vanishgrad.records import CLAIMS_FILE
from vanishgrad.report.page import HERE as REPORT
from vanishgrad.report.page import figure_html

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


MATH, FIGURE = "math", "figure"
FORMULA_SIZE = 16.0  # points
POINTS = 72  # of an inch


def html(text: str, figure: Callable[[str], str]) -> str:
    """The HTML of a chapter's text.

    A fenced block `math` holds formulas, one a line, in the part of TeX that matplotlib knows; a fenced
    block `figure` the name of the figure that stands there. HTML in the text is shown, not obeyed.

    Arguments:
        text: Markdown.
        figure: gives the HTML of a figure by its name.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")

    def fence(
        renderer: RendererHTML, tokens: Sequence[Token], at: int, options: OptionsDict, env: EnvType
    ) -> str:
        token = tokens[at]
        match token.info.strip():
            case "math":
                return "".join(map(formula, token.content.strip().splitlines()))
            case "figure":
                return "".join(map(figure, token.content.split()))
            case _:
                return f"<pre>{escape(token.content)}</pre>\n"

    markdown.add_render_rule("fence", fence)
    rendered: str = markdown.render(text)
    return rendered


def formula(tex: str) -> str:
    """A formula as a picture in the page, with its TeX for those who do not see it."""
    display = tex.strip().replace(r"\frac", r"\dfrac")  # there is room for large fractions
    text, buffer = f"${display}$", io.BytesIO()
    with rc_context({"mathtext.fontset": "dejavusans", "svg.hashsalt": "vanishgrad"}):
        font = FontProperties(size=FORMULA_SIZE)
        width, height, depth, *_ = MathTextParser("path").parse(text, dpi=POINTS, prop=font)
        figure = Figure(figsize=(width / POINTS, height / POINTS))
        figure.text(0, depth / height, text, fontproperties=font)
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]
    image = b64encode(buffer.getvalue()).decode("ascii")
    return f"<p class=formula><img alt='{escape(tex.strip())}' src='data:image/svg+xml;base64,{image}'></p>\n"


def figures_named(text: str) -> list[str]:
    """The figures that the text gives a place."""
    tokens = MarkdownIt("commonmark").parse(text)
    return [name for one in tokens if one.info.strip() == FIGURE for name in one.content.split()]


MEASUREMENTS_FILE = "measurements.csv"
CLAIM_COLUMNS = (
    "chapter", "claim", "measured", "spread", "expected", "verdict",
    "condition", "holds", "quantity", "seeds",
)  # fmt: skip
KINDS = {HOLDS: "hold", ONLY_IF: "hold only if", FAILS: "fail"}


def claims_table(chapter: str, conclusions: Sequence[Conclusion]) -> pd.DataFrame:
    """One row per claim and condition.

    `measured` and `spread` are mean and sample standard deviation over the seeds, `verdict` is the claim's,
    `holds` says whether it does under this `condition`.
    """
    rows = [
        (
            chapter, one.claim.text, one.mean(condition), one.spread(condition), str(one.claim.expected),
            one.verdict, condition, one.holds_if(condition), one.claim.quantity, len(values),
        )
        for one in conclusions
        for condition, values in one.values.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(CLAIM_COLUMNS))


def measurements_table(chapter: str, conclusions: Sequence[Conclusion]) -> pd.DataFrame:
    """`chapter, claim, condition, seed, value`: what the means are means of."""
    rows = [
        (chapter, one.claim.text, condition, seed, value)
        for one in conclusions
        for condition, values in one.values.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["chapter", "claim", "condition", "seed", "value"])


def read_claims(folder: Path) -> pd.DataFrame:
    """claims.csv as it was written; empty fields are empty text."""
    table = pd.read_csv(folder / CLAIMS_FILE, keep_default_na=False)
    return table.assign(
        measured=pd.to_numeric(table["measured"], errors="coerce"),
        spread=pd.to_numeric(table["spread"], errors="coerce"),
    )


def verdicts(claims: pd.DataFrame) -> pd.Series[str]:
    """The kind of verdict of every claim: holds, fails, or holds only if."""
    each = claims.groupby(["chapter", "claim"], sort=False)["verdict"].first()
    return each.where(~each.str.startswith(ONLY_IF), ONLY_IF)


def tally(claims: pd.DataFrame) -> str:
    """`12 hold, 3 hold only if, 1 fails`."""
    counts = verdicts(claims).value_counts()
    said = [f"{counts[kind]} {_verb(kind, counts[kind])}" for kind in KINDS if kind in counts]
    return ", ".join(said) or "no claims"


def _verb(kind: str, count: int) -> str:
    return kind if count == 1 else KINDS[kind]


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
