"""The text of a chapter: Markdown with formulas and places for figures, as HTML."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable, Sequence
from html import escape

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from matplotlib import rc_context
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser

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
