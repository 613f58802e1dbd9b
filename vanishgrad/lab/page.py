"""A chapter as a part of the book, and the book as a page: what they say, filled into templates/."""

from __future__ import annotations

import io
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser

from vanishgrad.lab.chapter import Chapter, Plate, Profile, trainings
from vanishgrad.lab.claim import FAILS, HOLDS, ONLY_IF, Conclusion
from vanishgrad.records import CLAIMS_FILE
from vanishgrad.report.labels import counted
from vanishgrad.report.page import FigureView, base64_of, figure_view, templates
from vanishgrad.rows import read_text

TEMPLATES = Path(__file__).parent / "templates"
DIGITS = 3


def _macro(template: str, name: str) -> Callable[..., Markup]:
    """A macro of one of the templates, which gives the HTML of its arguments."""
    macro: Callable[..., Markup] = getattr(templates(TEMPLATES).get_template(template).module, name)
    return macro


class ClaimVerdict(NamedTuple):
    """A verdict as a claim has it: its text, the `kind` that has a colour, and the condition under which."""

    text: str
    kind: str
    condition: str = ""


class MeasuredMean(NamedTuple):
    """What a claim measured under one condition, over how many seeds, and whether that is as expected."""

    condition: str
    value: str
    seeds: str
    as_expected: bool


class ClaimRow(NamedTuple):
    """A row of the table of claims."""

    claim: str
    quantity: str
    expected: str
    measured: list[MeasuredMean]
    verdict: ClaimVerdict


class Section(NamedTuple):
    """A chapter as the macro `chapter` shows it; `commands` repeat it, by what each of them trains."""

    name: str
    number: int
    title: str
    text: Markup
    claims: list[ClaimRow]
    commands: dict[str, str]


def section(
    number: int, chapter: Chapter, conclusions: Sequence[Conclusion], pictures: Mapping[str, bytes],
    profile: Profile,
) -> str:  # fmt: skip
    """The HTML of a chapter: text and figures, its claims, what repeats it.

    Arguments:
        number: of the chapter.
        chapter: itself.
        conclusions: of its claims.
        pictures: PNG of each of its plates, by name.
        profile: that was run.
    """
    claims = [_claim_row(one) for one in conclusions]
    text, commands = _text(chapter, pictures), _commands(chapter, profile)
    return _macro("chapter.html", "chapter")(
        Section(chapter.name, number, chapter.title, text, claims, commands)
    )


def _text(chapter: Chapter, pictures: Mapping[str, bytes]) -> Markup:
    """The text with its figures, those that it does not name after it."""
    figure = _macro("figure.html", "figure")
    plates = {
        plate.name: figure(_figure_view(chapter, plate, pictures[plate.name])) + "\n"
        for plate in chapter.plates
    }
    text = html(chapter.text, plates.__getitem__)
    named = figures_named(chapter.text)
    return Markup(text) + Markup("").join(shown for name, shown in plates.items() if name not in named)


def _figure_view(chapter: Chapter, plate: Plate, png: bytes) -> FigureView:
    title = plate.name.replace("_", " ").capitalize()
    name = f"{chapter.name}_{plate.name}"
    return figure_view(name, title, plate.caption, png, is_picture=plate.is_picture)


def _commands(chapter: Chapter, profile: Profile) -> dict[str, str]:
    """What repeats the experiments of a chapter."""
    sweeps = {one.name.replace("_", " "): one.command(profile) for one in trainings(chapter.experiments)}
    whole = shlex.join(["vanishgrad", "lab", f"chapter={chapter.name}"])
    return sweeps | {"the whole chapter": whole + ("" if profile == "full" else f" profile={profile}")}


def _claim_row(one: Conclusion) -> ClaimRow:
    claim = one.claim
    measured = [_measured(one, condition) for condition in one.values]
    return ClaimRow(claim.text, claim.quantity, str(claim.expected), measured, claim_verdict(one.verdict))


def _measured(one: Conclusion, condition: str) -> MeasuredMean:
    """The mean under one condition, and whether it is as expected."""
    spread = one.spread(condition)
    around = f" ± {three_digits(spread)}" if math.isfinite(spread) else ""
    value = f"{three_digits(one.mean(condition))}{around}"
    return MeasuredMean(
        condition, value, counted(len(one.values[condition]), "seed"), one.holds_if(condition)
    )


def claim_verdict(text: str) -> ClaimVerdict:
    """The verdict of a claim, its condition apart.

    Example:
        >>> claim_verdict("holds only if act=relu")
        ClaimVerdict(text='holds only if', kind='only-if', condition='act=relu')
    """
    if text.startswith(ONLY_IF):
        return ClaimVerdict(ONLY_IF, "only-if", text.removeprefix(f"{ONLY_IF} "))
    return ClaimVerdict(text, text.partition(" ")[0])


def three_digits(value: float) -> str:
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
                return Markup("").join(map(formula, token.content.strip().splitlines()))
            case "figure":
                return "".join(map(figure, token.content.split()))
            case _:
                return _macro("chapter.html", "code")(token.content)

    markdown.add_render_rule("fence", fence)
    rendered: str = markdown.render(text)
    return rendered


def formula(tex: str) -> Markup:
    """A formula as a picture in the page, with its TeX for those who do not see it."""
    display = tex.strip().replace(r"\frac", r"\dfrac")  # there is room for large fractions
    text, buffer = f"${display}$", io.BytesIO()
    with rc_context({"mathtext.fontset": "dejavusans", "svg.hashsalt": "vanishgrad"}):
        font = FontProperties(size=FORMULA_SIZE)
        width, height, depth, *_ = MathTextParser("path").parse(text, dpi=POINTS, prop=font)
        figure = Figure(figsize=(width / POINTS, height / POINTS))
        figure.text(0, depth / height, text, fontproperties=font)
        FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})  # type: ignore[no-untyped-call]
    return _macro("chapter.html", "formula")(tex.strip(), base64_of(buffer.getvalue()))


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
    table = read_text(folder / CLAIMS_FILE)
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
    parts = [f"{counts[kind]} {_verb(kind, counts[kind])}" for kind in KINDS if kind in counts]
    return ", ".join(parts) or "no claims"


def _verb(kind: str, count: int) -> str:
    return kind if count == 1 else KINDS[kind]


QUICK = (
    "Quick profile: two seeds and short training, to see whether everything works. What holds is said by the "
    "full lab."
)
OPENING = (
    "Gradient descent from the same start with three rates, on a valley ten times as steep across as along: "
    "too small a rate creeps, a good one arrives, too large a one is thrown out."
)


class Entry(NamedTuple):
    """A line of the contents."""

    name: str
    title: str
    has_run: bool
    tally: str


class Unusual(NamedTuple):
    """A claim that does not simply hold, which is the news."""

    chapter: str
    claim: str
    verdict: ClaimVerdict


def book(
    chapters: Sequence[Chapter], sections: Mapping[str, str], claims: pd.DataFrame, opening: bytes,
    profile: Profile,
) -> str:  # fmt: skip
    """HTML that needs no other file.

    Arguments:
        chapters: all there are, in their order.
        sections: HTML of those that have been run, by name.
        claims: the table of their claims.
        opening: the first picture, a PNG.
        profile: that was run.
    """
    count = len(claims.drop_duplicates(["chapter", "claim"]))
    return (
        templates(TEMPLATES)
        .get_template("book.html")
        .render(
            answer=f"{count} claims about deep networks and their gradients: {tally(claims)}.",
            note=QUICK if profile == "quick" else "",
            opening=base64_of(opening),
            opening_caption=OPENING,
            contents=[_entry(one, one.name in sections, claims) for one in chapters],
            unusual=_unusual(claims),
            count=count,
            chapters=[Markup(sections[one.name]) for one in chapters if one.name in sections],
        )
    )


def _entry(chapter: Chapter, has_run: bool, claims: pd.DataFrame) -> Entry:
    own = tally(claims[claims["chapter"] == chapter.name]) if has_run else "not run yet"
    return Entry(chapter.name, chapter.title, has_run, own)


def _unusual(claims: pd.DataFrame) -> list[Unusual]:
    each = claims.drop_duplicates(["chapter", "claim"])
    return [
        Unusual(str(row.chapter), str(row.claim), claim_verdict(str(row.verdict)))
        for row in each[each["verdict"] != HOLDS].itertuples()
    ]
