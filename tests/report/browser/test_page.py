"""The page in Chromium: it loads by itself, sorts, filters, and fits a phone, paper and the dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vanishgrad.report import write_report

Browser = Any  # of this folder's conftest
WriteRun = Callable[..., Path]
PHONE = 390
NASTY = "<img src=x onerror=document.title='hacked'>'\"&"
SETTINGS = {
    # act: slope, accuracy
    "relu": (0.02, 0.9),
    "sigmoid": (0.9, 0.1),
    "tanh": (0.1, 0.7),
}


@pytest.fixture(scope="module")
def page(write_shared_run: WriteRun, module_path: Path, add: SimpleNamespace) -> Path:
    for act, (slope, accuracy) in SETTINGS.items():
        for norm in ("none", "batch"):
            setting = {"act": act, "norm": norm, "name": NASTY}
            overrides = [f"act={act}", f"norm={norm}", f"name={NASTY}"]
            write_shared_run(
                f"runs/{act}-{norm}", setting=setting, slope=slope * (norm == "none"), accuracy=accuracy,
                overrides=overrides,
            )  # fmt: skip
    return write_report([module_path / "runs"], module_path / "report").page


def column(browser: Browser, place: int) -> list[str]:
    """The cells of the settings table that are shown, from the top."""
    rows = "document.querySelectorAll('#settings tbody tr:not([hidden])')"
    return browser.run(f"Array.from({rows}, row => row.cells[{place}].innerText.trim())")


def heading(name: str) -> str:
    buttons = "[...document.querySelectorAll('#settings thead button')]"
    return f"{buttons}.find(each => each.textContent === {name!r})"


def test_the_page_loads_without_errors_and_asks_for_nothing(browser: Browser, page: Path) -> None:
    browser.requests(), browser.complaints()
    browser.open(page)
    assert browser.requests() == [page.resolve().as_uri()]
    assert browser.complaints() == []
    assert browser.run("[...document.images].every(each => each.complete && each.naturalWidth > 100)")
    assert browser.run("document.images.length") > 5


def test_names_do_nothing_but_stand_there(browser: Browser, page: Path) -> None:
    browser.open(page)
    assert "hacked" not in browser.run("document.title")
    assert NASTY.split("'")[0] in browser.run("document.body.textContent")


def test_a_heading_sorts_by_number_and_again_the_other_way(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.run(f"{heading('val. accuracy')}.click()")
    assert [text.split()[0] for text in column(browser, 3)] == ["0.100"] * 2 + ["0.700"] * 2 + ["0.900"] * 2
    browser.run(f"{heading('val. accuracy')}.click()")
    assert column(browser, 3)[0].startswith("0.900")
    browser.run(f"{heading('setting')}.click()")
    assert column(browser, 0) == sorted(column(browser, 0))


def test_words_and_lists_filter_settings_and_runs(browser: Browser, page: Path) -> None:
    browser.open(page)
    browser.type("#controls [name=words]", "ACT=tanh")
    assert column(browser, 0) == ["act=tanh norm=batch", "act=tanh norm=none"]
    assert browser.run("document.querySelector('#controls output').value") == "2 of 6 settings"
    assert browser.run("document.querySelectorAll('#runs tbody tr:not([hidden])').length") == 2
    browser.type("#controls [name=words]", "act=tan")
    assert column(browser, 0) == []
    browser.type("#controls [name=words]", "sig")
    browser.type("#controls [data-key=norm]", "batch")
    assert column(browser, 0) == ["act=sigmoid norm=batch"]
    browser.type("#controls [name=words]", "")
    browser.type("#controls [data-key=verdict]", "learns")
    assert column(browser, 0) == ["act=relu norm=batch", "act=tanh norm=batch"]


def test_a_phone_needs_no_scrolling_sideways(browser: Browser, page: Path) -> None:
    browser.open(page, PHONE, 844)
    assert browser.run("document.documentElement.scrollWidth") <= PHONE
    assert browser.run("getComputedStyle(document.querySelector('#settings thead')).display") == "none"
    browser.type("#controls [name=sorting]", "3")
    assert column(browser, 0)[0].startswith("act=relu")


def test_the_dark_scheme_is_dark_and_legible(browser: Browser, page: Path) -> None:
    browser.open(page)
    scheme = "getComputedStyle(document.body)"
    assert browser.run(f"{scheme}.backgroundColor") == "rgb(255, 255, 255)"
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.devtools("Emulation.setEmulatedMedia", features=dark)
    try:
        assert browser.run(f"{scheme}.backgroundColor") == "rgb(15, 20, 25)"
        assert browser.run(f"{scheme}.color") == "rgb(230, 237, 243)"
    finally:
        browser.devtools("Emulation.setEmulatedMedia", features=[])


def test_print_has_no_controls_and_no_scrolling_boxes(browser: Browser, page: Path, tmp_path: Path) -> None:
    browser.open(page)
    browser.devtools("Emulation.setEmulatedMedia", media="print")
    try:
        assert browser.run("getComputedStyle(document.getElementById('controls')).display") == "none"
        boxes = "[...document.querySelectorAll('.scroll')]"
        assert browser.run(f"{boxes}.every(each => getComputedStyle(each).overflowY === 'visible')")
    finally:
        browser.devtools("Emulation.setEmulatedMedia", media="")
    browser.pdf(tmp_path / "page.pdf")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_the_window_is_not_blank(browser: Browser, page: Path, tmp_path: Path) -> None:
    browser.open(page)
    browser.screenshot(tmp_path / "window.png")
    from matplotlib.image import imread

    pixels = imread(tmp_path / "window.png")
    assert pixels.shape[:2] == (900, 1280)
    assert pixels[..., :3].std() > 0.05
