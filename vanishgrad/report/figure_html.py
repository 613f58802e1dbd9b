"""A figure as a part of a page that needs nothing beside itself."""

from __future__ import annotations

from base64 import b64encode
from html import escape

from vanishgrad.report.figures.canvas import DPI

SHOWN = 104  # CSS pixels per inch of a figure


def figure_html(name: str, title: str, caption: str, png: bytes, *, is_picture: bool = False) -> str:
    """The figure with its caption, its picture inside.

    Arguments:
        name: by which links find it.
        title: for those who do not see it.
        caption: under it.
        png: the picture.
        is_picture: whether its colours mean something, so that a dark page leaves them alone.
    """
    image = b64encode(png).decode("ascii")
    kind = " class=picture" if is_picture else ""
    return (
        f"<figure id='{escape(name)}'><div class=scroll>"
        f"<img{kind} width={_width(png)} alt='{escape(title)}' src='data:image/png;base64,{image}'></div>"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _width(png: bytes) -> int:
    """CSS pixels at which the figure's type is as large as the page's small print; its own are finer."""
    pixels = int.from_bytes(png[16:20], "big")  # of the header (ISO 15948)
    return round(SHOWN * pixels / DPI)
