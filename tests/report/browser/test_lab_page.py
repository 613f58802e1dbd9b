"""The lab's page in Chromium: it loads by itself, and fits a phone and paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from vanishgrad.lab import Chapter, Evidence, Plate, Training, write_book, write_chapter
from vanishgrad.lab.claim import at_least, claim
from vanishgrad.lab.rows import by_condition
from vanishgrad.report.figures import final_accuracy

Browser = Any  # of this folder's conftest
PHONE = 390
REACHED = {"relu": 0.9, "tanh": 0.2}
NASTY = "<img src=x onerror=document.title='hacked'>'\"&"


@claim(f"A claim {NASTY} of many words that say what everybody knows", "accuracy", at_least(0.5))
def known(evidence: Evidence) -> dict[str, list[float]]:
    rows = evidence["sweep"]["summary"]
    return by_condition(rows, ["act", "norm"], lambda own: own["final_val_accuracy"].iloc[0])


def picture(evidence: Evidence) -> Figure:
    return final_accuracy(evidence["sweep"]["summary"])


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A book of one chapter with a formula, a figure and a claim that holds only if."""
    folder = tmp_path_factory.mktemp("lab")
    chapter = Chapter(
        "depth", "Depth", (Training("sweep", ("act=relu,tanh", "norm=none,batch")),),
        (Plate("accuracy", NASTY, picture),), (known,),
    )  # fmt: skip
    settings = [
        (act, norm, seed) for act in ("relu", "tanh") for norm in ("none", "batch") for seed in (0, 1)
    ]
    rows = [
        (f"{act}{norm}{seed}", f"act={act} norm={norm}", act, norm, seed, "completed", REACHED[act])
        for act, norm, seed in settings
    ]
    columns = ["run", "setting", "act", "norm", "seed", "status", "final_val_accuracy"]
    evidence = {"sweep": {"summary": pd.DataFrame(rows, columns=columns)}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Chapter, "text", "Words.\n\n```math\nx = 1\n\\sum_l \\delta_l\n\\chi_1\n```\n")
        write_chapter(folder, 2, chapter, evidence, "full")
    return write_book(folder, [chapter], "full")


def test_the_page_loads_without_errors_and_asks_for_nothing(browser: Browser, page: Path) -> None:
    browser.requests(), browser.complaints()
    browser.open(page)
    assert browser.requests() == [page.resolve().as_uri()]
    assert browser.complaints() == []
    assert browser.run("[...document.images].every(each => each.complete && each.naturalWidth > 10)")
    assert browser.run("document.querySelectorAll('p.formula img').length") > 2
    assert "hacked" not in browser.run("document.title")


def test_the_verdict_and_its_condition_are_told_apart(browser: Browser, page: Path) -> None:
    browser.open(page)
    cell = "document.querySelector('table.claims tbody td:last-child')"
    assert browser.run(f"{cell}.querySelector('.verdict').innerText") == "holds only if"
    conditions = browser.run(f"{cell}.querySelector('.condition').innerText")
    assert conditions == "act=relu norm=none or act=relu norm=batch"
    marks = "[...document.querySelectorAll('.measured span')].map(each => each.className)"
    assert browser.run(marks) == ["as-expected"] * 2 + ["not-as-expected"] * 2


def test_a_phone_needs_no_scrolling_sideways(browser: Browser, page: Path) -> None:
    browser.open(page, PHONE, 844)
    assert browser.run("document.documentElement.scrollWidth") <= PHONE


def test_a_figure_grows_when_it_is_clicked(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.click("section figure img")
    assert browser.run("document.querySelector('section figure img').className") == "large"


def test_it_prints(browser: Browser, page: Path, tmp_path: Path) -> None:
    browser.open(page)
    browser.pdf(tmp_path / "lab.pdf")
    assert (tmp_path / "lab.pdf").stat().st_size > 10_000
