"""The templates of the pages: what they are given is text, and nothing may be missing."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from vanishgrad.lab.page import TEMPLATES as LAB_TEMPLATES
from vanishgrad.report.page import TEMPLATES, figure_view, templates

PACKAGE = Path(__file__).parents[2] / "vanishgrad"
NASTY = "</figcaption><script>alert(1)</script>'\"&{{ 1 + 1 }}"


def test_what_a_template_shows_is_text() -> None:
    figure = templates().get_template("figure.html").module.figure  # type: ignore[attr-defined]
    html = figure(figure_view(NASTY, NASTY, NASTY, bytes(24)))
    assert "<script>" not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;&#39;&#34;&amp;{{ 1 + 1 }}") == 3


def test_a_name_that_nobody_gave_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="compared"):
        templates().get_template("page.html").render({})


def test_styles_and_script_are_in_the_page_as_they_are() -> None:
    shown = templates(LAB_TEMPLATES).from_string("{{ file('page.css') }}{{ file('lab.css') }}").render()
    assert "figure img.large" in shown
    assert 'content: "' in shown
    assert ".lab { line-height" in shown


def test_a_template_of_the_lab_does_not_take_the_place_of_one_of_the_report() -> None:
    assert not {file.name for file in TEMPLATES.iterdir()} & {file.name for file in LAB_TEMPLATES.iterdir()}


@pytest.mark.parametrize("room", ["report", "lab"])
def test_python_code_holds_no_html(room: str) -> None:
    texts = [
        (file.name, node.value)
        for file in (PACKAGE / room).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not [(name, text) for name, text in texts if "</" in text]
