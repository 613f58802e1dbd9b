"""`vanishgrad report`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vanishgrad.cli.report as command
from vanishgrad.errors import SettingError
from vanishgrad.report import Noted, ReportResult, Wanted

Vanishgrad = Callable[..., Any]
how: list[Wanted] = []  # the figures that were asked for, call by call


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[Path], Path]]:
    """What the command asks the report for; nothing is drawn."""
    calls: list[tuple[list[Path], Path]] = []
    how.clear()

    def write(runs: list[Path], out: Path, wanted: Wanted, computed: Any) -> ReportResult:
        calls.append((runs, out))
        how.append(wanted)
        skipped, cut_short = (
            Noted(Path("broken"), "no run.json"),
            Noted(Path("cut"), "ends at step 40 of 220"),
        )
        return ReportResult(out / "index.html", (skipped,), (cut_short,))

    monkeypatch.setattr(command, "write_report", write)
    monkeypatch.setattr(command, "newest_runs", lambda: Path("outputs/newest"))
    return calls


@pytest.mark.parametrize(
    "arguments, runs, out",
    [
        ((), ["outputs/newest"], "outputs/newest/report"),
        (("runs=a",), ["a"], "a/report"),
        (("runs=a,b",), ["a,b"], "a,b/report"),
        (("runs=[a]", "out=there"), ["a"], "there"),
        (("out=there", "runs=[x/a, x/b]"), ["x/a", "x/b"], "there"),
    ],
)
def test_the_report_is_written_where_it_is_asked_for(
    vanishgrad: Vanishgrad,
    asked: list[tuple[list[Path], Path]],
    arguments: tuple[str, ...],
    runs: list[str],
    out: str,
) -> None:
    done = vanishgrad("report", *arguments)
    assert (done.status, done.out) == (0, f"{out}/index.html\n")
    assert asked == [([Path(run) for run in runs], Path(out))]
    assert done.err == "note: skipped broken: no run.json\nnote: cut: ends at step 40 of 220\n"


def test_several_folders_are_reported_beside_them(
    vanishgrad: Vanishgrad, asked: list[tuple[list[Path], Path]], tmp_path: Path
) -> None:
    assert vanishgrad("report", "runs=[x/a,x/b]").status == 0
    assert asked[0][1] == tmp_path / "x" / "report"


@pytest.mark.parametrize(
    "arguments, wanted",
    [
        ((), Wanted()),
        (("figures=training_curves",), Wanted(("training_curves",))),
        (("figures=[training_curves, gradient_profile]",), Wanted(("training_curves", "gradient_profile"))),
        (("figures=filters,gate_activity",), Wanted(("filters", "gate_activity"))),
        (("format=pdf", "style=paper"), Wanted(None, ("pdf",), "paper")),
        (("format=[svg,pdf]",), Wanted(None, ("svg", "pdf"))),
    ],
)
def test_figures_files_and_style_can_be_chosen(
    vanishgrad: Vanishgrad, asked: list[Any], arguments: tuple[str, ...], wanted: Wanted
) -> None:
    assert vanishgrad("report", "runs=a", *arguments).status == 0
    assert how == [wanted]


def test_open_shows_the_page(
    vanishgrad: Vanishgrad,
    asked: list[tuple[list[Path], Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    vanishgrad("report", "runs=a", "open=false")
    assert not shown
    vanishgrad("report", "runs=a", "open=true")
    assert shown == [(tmp_path / "a/report/index.html").as_uri()]


@pytest.mark.parametrize(
    "argument, told",
    [
        ("rns=a", "did you mean runs?"),
        ("somewhere", "somewhere: write key=value; valid are runs, out, figures, format, style, open"),
        ("figures=gradients", "figures=gradients: choose one of flow_and_learning"),
        ("figures=[]", "figures=[]: name at least one of"),
        ("format=eps", "format=eps: choose one of svg, pdf, png"),
        ("style=book", "style=book: choose one of screen, paper"),
        ("open=maybe", "open=maybe: must be true or false"),
        ("runs=", "runs=: has no value"),
        ("runs=[]", "name at least one folder"),
        ("runs=nowhere", "nowhere"),
    ],
)
def test_a_wrong_argument_gets_one_message(vanishgrad: Vanishgrad, argument: str, told: str) -> None:
    done = vanishgrad("report", argument)
    assert (done.status, done.out) == (2, "")
    assert told in done.error


def test_without_any_run_it_says_what_to_do(vanishgrad: Vanishgrad) -> None:
    assert "train something first" in vanishgrad("report").error


def test_a_message_of_the_report_is_the_message(
    vanishgrad: Vanishgrad, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise SettingError("nothing there")

    monkeypatch.setattr(command, "write_report", refuse)
    assert vanishgrad("report", "runs=a").error == "nothing there"
