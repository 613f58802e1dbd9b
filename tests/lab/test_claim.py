"""Verdicts come from numbers."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from vanishgrad.lab.claim import (
    Conclusion,
    Evidence,
    Expected,
    Measured,
    at_least,
    at_most,
    between,
    claim,
    near,
)
from vanishgrad.lab.page import CLAIM_COLUMNS, claims_table, measurements_table, tally


def concluded(measured: Measured, expected: Expected) -> Conclusion:
    @claim("It is so", "a number", expected)
    def so(evidence: Evidence) -> Measured:
        return measured

    return so({})


@pytest.mark.parametrize(
    "expected, inside, outside, words",
    [
        (at_least(2, "steps"), 2.0, 1.99, "at least 2 steps"),
        (at_most(0.25), 0.25, 0.2500001, "at most 0.25"),
        (between(1, 2), 1.5, 2.5, "1 to 2"),
        (near(1, 0.5), 0.5, 0.49, "0.5 to 1.5"),
        (near(1, 0), 1.0, 1.0000001, "1"),
        (near(4, 1e-9), 4.0, 4.001, "4 ± 1e-09"),
    ],
)
def test_a_range_has_its_ends_and_no_nan(
    expected: Expected, inside: float, outside: float, words: str
) -> None:
    assert inside in expected
    assert outside not in expected
    assert math.nan not in expected
    assert str(expected) == words


def test_a_claim_has_to_hold_for_every_seed() -> None:
    assert concluded([1.0, 2.0], at_least(1)).verdict == "holds"
    assert concluded([1.0, 0.9], at_least(1)).verdict == "fails"
    assert concluded([1.0, math.nan], at_least(1)).verdict == "fails"
    assert concluded([], at_least(1)).verdict == "fails"


def test_a_claim_with_conditions_holds_only_if_one_of_them_is_met() -> None:
    by_act = {"act=relu": [1.0, 1.2], "act=tanh": [1.1, 1.3], "act=sigmoid": [0.0, 2.0]}
    assert concluded(by_act, at_least(1)).verdict == "holds only if act=relu or act=tanh"
    assert concluded(by_act, at_least(0)).verdict == "holds"
    assert concluded(by_act, at_least(3)).verdict == "fails"
    assert concluded(by_act, at_least(1)).kind == "holds only if"


def test_mean_and_spread_are_over_seeds() -> None:
    found = concluded([1.0, 2.0, 6.0], at_least(0))
    assert found.mean("") == 3.0
    assert found.spread("") == pytest.approx(math.sqrt(7))
    assert math.isnan(concluded([1.0], at_least(0)).spread(""))
    assert math.isnan(concluded([1.0, math.inf], at_least(0)).spread(""))
    assert concluded([1.0, math.inf], at_least(0)).verdict == "holds"


def test_the_tables_have_a_row_per_condition_and_one_per_seed() -> None:
    by_act = {"act=relu": [1.0, 3.0], "act=tanh": [0.0]}
    found = concluded(by_act, at_least(1))
    claims, values = claims_table("depth", [found]), measurements_table("depth", [found])
    assert tuple(claims.columns) == CLAIM_COLUMNS
    assert list(claims.columns[:6]) == ["chapter", "claim", "measured", "spread", "expected", "verdict"]
    assert list(claims["measured"]) == [2.0, 0.0]
    assert list(claims["holds"]) == [True, False]
    assert set(claims["verdict"]) == {"holds only if act=relu"}
    assert list(values["value"]) == [1.0, 3.0, 0.0]
    assert list(values["seed"]) == [0, 1, 0]


def test_the_tally_counts_claims_and_not_conditions() -> None:
    rows = [
        ("a", "x", "holds"), ("a", "y", "holds only if p"), ("a", "y", "holds only if p"),
        ("b", "x", "holds"), ("b", "z", "fails"),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["chapter", "claim", "verdict"])
    assert tally(table) == "2 hold, 1 holds only if, 1 fails"
    assert tally(table.iloc[:0]) == "no claims"
