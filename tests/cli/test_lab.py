"""`vanishgrad lab`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.figure import Figure

from vanishgrad.engine.session import Session
from vanishgrad.lab import Chapter, Evidence, Plate, Probe, Training
from vanishgrad.lab.claim import at_least, at_most, claim
from vanishgrad.lab.rows import at_first, by_condition, log_fit
from vanishgrad.report import load_runs
from vanishgrad.report.figures import gradient_profile
from vanishgrad.sweeps.pool import Workers

Vanishgrad = Callable[..., Any]

SMALL = ("depth=4", "width=8", "max_steps=4", "data.train_size=128")
SWEEP = Training("sweep", (*SMALL, "act=sigmoid,tanh"), seeds=2)


@claim("Gradients shrink", "slope <of> the first gradients", at_least(0.3, "decades per layer"))
def shrinks(evidence: Evidence) -> dict[str, list[float]]:
    start = at_first(evidence["sweep"]["gradients"])
    return by_condition(start, "act", lambda rows: log_fit(rows).slope)


@claim("A seed is a number", "the seed", at_most(10))
def seeds(evidence: Evidence) -> list[float]:
    return [float(seed) for seed in evidence["seeds"]["probe"]["seed"]]


def profile(evidence: Evidence) -> Figure:
    return gradient_profile(evidence["sweep"]["gradients"])


@pytest.fixture(autouse=True)
def small_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    """One chapter that takes a second, in this process, in place of the ten."""
    texts = {"depth": "Two networks.\n\n```figure\nprofile\n```\n", "learning": "None."}
    monkeypatch.setattr(Chapter, "text", property(lambda self: texts[self.name]))
    probe = Probe("seeds", lambda seed: pd.DataFrame({"x": [0]}), seeds=2)
    plate = Plate("profile", "What <comes> through.", profile)
    chapter = Chapter("depth", "Depth", (SWEEP, probe), (plate,), (shrinks, seeds))
    other = replace(chapter, name="learning", experiments=(probe,), plates=(), claims=(seeds,))
    monkeypatch.setattr("vanishgrad.cli.lab.CHAPTERS", (other, chapter))
    monkeypatch.setattr("vanishgrad.cli.lab.Workers", lambda: Workers(1))


def test_a_chapter_leaves_a_page_claims_figures_and_its_runs(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    out = vanishgrad("lab", "chapter=depth", f"out={tmp_path / 'lab'}")
    assert out.status == 0
    assert out.out.splitlines()[-1] == str(tmp_path / "lab" / "index.html")
    assert "holds only if  Gradients shrink" in out.out
    claims = pd.read_csv(tmp_path / "lab" / "claims.csv")
    assert list(claims.columns[:6]) == ["chapter", "claim", "measured", "spread", "expected", "verdict"]
    verdicts = dict(zip(claims["claim"], claims["verdict"], strict=True))
    assert verdicts == {"Gradients shrink": "holds only if act=sigmoid", "A seed is a number": "holds"}
    assert len(pd.read_csv(tmp_path / "lab" / "measurements.csv")) == 6
    assert {path.name for path in (tmp_path / "lab" / "figures").iterdir()} == {
        "depth_profile.png", "depth_profile.svg", "opening.png", "opening.svg",
    }  # fmt: skip
    assert len(load_runs(tmp_path / "lab" / "depth" / "sweep")) == 4


def test_the_page_says_it_all_by_itself(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    vanishgrad("lab", "chapter=depth", f"out={tmp_path}")
    page = (tmp_path / "index.html").read_text()
    assert "2 claims about deep networks and their gradients: 1 holds, 1 holds only if." in page
    assert "slope &lt;of&gt; the first gradients" in page
    assert "What &lt;comes&gt; through." in page
    assert "vanishgrad train -m depth=4 width=8 max_steps=4 data.train_size=128 act=sigmoid,tanh" in page
    assert "not run yet" in page  # the other chapter
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_the_numbers_are_those_of_the_runs(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    vanishgrad("lab", "chapter=depth", f"out={tmp_path}")
    runs = load_runs(tmp_path / "depth" / "sweep")
    summary = pd.DataFrame(
        {"act": run.choices["act"]["name"], "slope": log_fit(at_first(run.gradients)).slope} for run in runs
    )
    claims = pd.read_csv(tmp_path / "claims.csv").set_index("condition")["measured"]
    for act, slope in summary.groupby("act")["slope"].mean().items():
        assert claims[f"act={act}"] == pytest.approx(slope, rel=1e-4)


def test_what_is_trained_is_not_trained_again(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    vanishgrad("lab", "chapter=depth", f"out={tmp_path}")
    kept, lost = (tmp_path / "depth" / "sweep" / number / "run.json" for number in "12")
    before = kept.stat().st_mtime_ns
    record = json.loads(lost.read_text())
    lost.write_text(json.dumps(record | {"status": "running"}))
    assert vanishgrad("lab", "chapter=depth", f"out={tmp_path}").status == 0
    assert kept.stat().st_mtime_ns == before
    assert json.loads(lost.read_text())["status"] == "completed"


def test_a_changed_experiment_is_trained_anew(
    vanishgrad: Vanishgrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vanishgrad("lab", "chapter=depth", f"out={tmp_path}")
    monkeypatch.setitem(SWEEP.__dict__, "overrides", (*SMALL, "act=sigmoid,tanh", "lr=0.3"))
    assert vanishgrad("lab", "chapter=depth", f"out={tmp_path}").status == 0
    runs = load_runs(tmp_path / "depth" / "sweep")
    assert {run.choices["lr"] for run in runs} == {0.3}


def test_chapters_come_together_on_one_page(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    vanishgrad("lab", "chapter=2", f"out={tmp_path}")
    vanishgrad("lab", "chapter=learning", f"out={tmp_path}")
    assert list(pd.read_csv(tmp_path / "claims.csv")["chapter"].unique()) == ["learning", "depth"]
    page = (tmp_path / "index.html").read_text()
    assert page.index("id='learning'") < page.index("id='depth'")
    assert "not run yet" not in page


def test_the_quick_profile_says_so(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    assert vanishgrad("lab", "profile=quick", "chapter=depth,learning", f"out={tmp_path}").status == 0
    assert "Quick profile" in (tmp_path / "index.html").read_text()


def test_a_run_that_fails_is_named_and_its_chapter_left_out(
    vanishgrad: Vanishgrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(session: Session) -> None:
        raise RuntimeError("no memory left")

    monkeypatch.setattr(Session, "open", broken)
    out = vanishgrad("lab", f"out={tmp_path}")
    assert out.status == 1
    assert "failed: depth/sweep/0: RuntimeError: no memory left" in out.err
    assert list(pd.read_csv(tmp_path / "claims.csv")["chapter"].unique()) == ["learning"]


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["chapter=dept"], "chapter=dept: choose one of learning, depth (did you mean depth?)"),
        (["chapter=3"], "chapter=3: choose one of learning, depth"),
        (["chapter=[]"], "chapter=[]: name at least one chapter"),
        (["profile=fast"], "profile=fast: choose one of full, quick"),
        (["seeds=3"], "seeds=3: there is no option seeds; valid are chapter, profile, out, open"),
        (["open=maybe"], "open=maybe: must be true or false"),
    ],
)
def test_wrong_input_is_refused(
    vanishgrad: Vanishgrad, arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out = vanishgrad("lab", *arguments)
    assert out.status == 2
    assert told in out.err
    assert not list(tmp_path.iterdir())


def test_a_file_is_no_folder(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert vanishgrad("lab", f"out={tmp_path / 'file'}").status == 2


def test_a_lab_in_the_outputs_is_not_the_newest_run(
    vanishgrad: Vanishgrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert vanishgrad("lab", "chapter=depth").status == 0
    assert (tmp_path / "outputs" / "lab" / "full" / "index.html").exists()
    assert vanishgrad("report").status == 2
