"""The book under docs/lab: it is of the chapters that there are, and rests on enough seeds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from vanishgrad.lab import CHAPTERS, Chapter

BOOK = Path(__file__).parents[2] / "docs" / "lab"
FEWER_SEEDS = {"residual", "recurrence"}  # the deepest and the recurrent networks
each_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=[one.name for one in CHAPTERS])


@pytest.fixture(scope="module")
def claims() -> pd.DataFrame:
    return pd.read_csv(BOOK / "claims.csv")


@each_chapter
def test_the_book_has_the_claims_of_a_chapter(claims: pd.DataFrame, chapter: Chapter) -> None:
    """`make lab` writes it anew."""
    rows = claims[claims["chapter"] == chapter.name].drop_duplicates("claim")
    known = [(one.text, str(one.expected), one.quantity) for one in chapter.claims]
    assert list(rows[["claim", "expected", "quantity"]].itertuples(index=False, name=None)) == known


@each_chapter
def test_the_book_has_the_figures_of_a_chapter(chapter: Chapter) -> None:
    drawn = {path.stem for path in (BOOK / "figures").glob(f"{chapter.name}_*.png")}
    assert drawn == {f"{chapter.name}_{plate.name}" for plate in chapter.plates}


def test_every_number_is_of_enough_seeds(claims: pd.DataFrame) -> None:
    fewest = claims["chapter"].map(lambda name: 3 if name in FEWER_SEEDS else 5)
    assert not len(claims[claims["seeds"] < fewest])


def test_the_verdicts_are_those_of_the_measurements(claims: pd.DataFrame) -> None:
    values = pd.read_csv(BOOK / "measurements.csv", keep_default_na=False)
    means = pd.to_numeric(values["value"]).groupby([values["claim"], values["condition"]]).mean()
    for row in claims.fillna({"condition": ""}).itertuples():
        if pd.notna(row.measured):
            assert row.measured == pytest.approx(means[row.claim, row.condition], rel=1e-4, abs=1e-12)
    each = claims.groupby(["chapter", "claim"])["holds"].agg(["all", "any"])
    verdict = claims.groupby(["chapter", "claim"])["verdict"].first()
    assert ((verdict == "holds") == each["all"]).all()
    assert ((verdict == "fails") == ~each["any"]).all()
    assert verdict.str.startswith("holds only if").sum() >= 3


def test_the_page_is_the_book_of_these_claims(claims: pd.DataFrame) -> None:
    page = (BOOK / "index.html").read_text(encoding="utf-8")
    assert f"{len(claims.drop_duplicates(['chapter', 'claim']))} claims about deep networks" in page
    assert "Quick profile" not in page
    assert "not run yet" not in page
    assert all(f"id='{chapter.name}'" in page for chapter in CHAPTERS)
