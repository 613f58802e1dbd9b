"""The text of a chapter as HTML."""

from __future__ import annotations

import base64
import re

import pytest

from vanishgrad.lab.page import figures_named, formula, html


def test_paragraphs_code_and_lists() -> None:
    found = html("A *word* and `code`.\n\n- one\n- two\n", str)
    assert "<p>A <em>word</em> and <code>code</code>.</p>" in found
    assert "<li>two</li>" in found


def test_html_in_the_text_is_shown_and_not_obeyed() -> None:
    found = html("<script>alert(1)</script> a < b", str)
    assert "<script>" not in found
    assert "&lt;script&gt;" in found


def test_a_formula_is_a_picture_with_its_source_beside_it() -> None:
    found = html("```math\n\\chi_1 = 1\n\\sigma_w < 2\n```\n", str)
    sources = re.findall(r"alt='([^']*)' src='data:image/svg\+xml;base64,([^']*)'", found)
    assert [alt for alt, _ in sources] == ["\\chi_1 = 1", "\\sigma_w &lt; 2"]
    assert all(b"<svg" in base64.b64decode(image) for _, image in sources)
    assert formula("x") == formula("x")


def test_a_formula_that_cannot_be_set_is_an_error() -> None:
    with pytest.raises(ValueError, match="nosuchcommand"):
        formula(r"\nosuchcommand{x}")


def test_figures_stand_where_the_text_names_them() -> None:
    text = "One.\n\n```figure\nfirst\n```\n\nTwo.\n\n```figure\nsecond\n```\n"
    assert figures_named(text) == ["first", "second"]
    found = html(text, lambda name: f"<b>{name}</b>")
    assert found.index("One") < found.index("<b>first</b>") < found.index("Two") < found.index("second")


def test_other_blocks_are_code() -> None:
    assert "<pre>vanishgrad &lt;x&gt;\n</pre>" in html("```\nvanishgrad <x>\n```\n", str)
