"""claims.csv, one row per claim and condition, and measurements.csv, the number of every seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from vanishgrad.lab.claim import FAILS, HOLDS, ONLY_IF, Conclusion
from vanishgrad.records import CLAIMS_FILE

MEASUREMENTS_FILE = "measurements.csv"
CLAIM_COLUMNS = (
    "chapter", "claim", "measured", "spread", "expected", "verdict",
    "condition", "holds", "quantity", "seeds",
)  # fmt: skip
KINDS = {HOLDS: "hold", ONLY_IF: "hold only if", FAILS: "fail"}


def claims_table(chapter: str, conclusions: Sequence[Conclusion]) -> pd.DataFrame:
    """One row per claim and condition.

    `measured` and `spread` are mean and sample standard deviation over the seeds, `verdict` is the claim's,
    `holds` says whether it does under this `condition`.
    """
    rows = [
        (
            chapter, one.claim.text, one.mean(condition), one.spread(condition), str(one.claim.expected),
            one.verdict, condition, one.holds_if(condition), one.claim.quantity, len(values),
        )
        for one in conclusions
        for condition, values in one.values.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(CLAIM_COLUMNS))


def measurements_table(chapter: str, conclusions: Sequence[Conclusion]) -> pd.DataFrame:
    """`chapter, claim, condition, seed, value`: what the means are means of."""
    rows = [
        (chapter, one.claim.text, condition, seed, value)
        for one in conclusions
        for condition, values in one.values.items()
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["chapter", "claim", "condition", "seed", "value"])


def read_claims(folder: Path) -> pd.DataFrame:
    """claims.csv as it was written; empty fields are empty text."""
    table = pd.read_csv(folder / CLAIMS_FILE, keep_default_na=False)
    return table.assign(
        measured=pd.to_numeric(table["measured"], errors="coerce"),
        spread=pd.to_numeric(table["spread"], errors="coerce"),
    )


def verdicts(claims: pd.DataFrame) -> pd.Series[str]:
    """The kind of verdict of every claim: holds, fails, or holds only if."""
    each = claims.groupby(["chapter", "claim"], sort=False)["verdict"].first()
    return each.where(~each.str.startswith(ONLY_IF), ONLY_IF)


def tally(claims: pd.DataFrame) -> str:
    """`12 hold, 3 hold only if, 1 fails`."""
    counts = verdicts(claims).value_counts()
    said = [f"{counts[kind]} {_verb(kind, counts[kind])}" for kind in KINDS if kind in counts]
    return ", ".join(said) or "no claims"


def _verb(kind: str, count: int) -> str:
    return kind if count == 1 else KINDS[kind]
