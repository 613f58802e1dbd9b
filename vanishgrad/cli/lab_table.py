"""What `vanishgrad lab` prints of a chapter: every claim, its verdict, and the numbers behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vanishgrad.cli.plain import show
from vanishgrad.lab import Conclusion
from vanishgrad.lab.section_html import number

STYLES = {"holds": "green", "fails": "red", "holds only if": "yellow"}


def show_claims(console: Console, conclusions: Sequence[Conclusion]) -> None:
    """The verdict of each claim, and under it what was measured."""
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in conclusions:
        table.add_row(Text(one.kind, style=STYLES[one.kind]), one.claim.text)
        table.add_row("", Text(_measured(one), style="dim"))
    show(console, table)


def _measured(one: Conclusion) -> str:
    """`R², at least 0.98: norm=batch 0.99 ± 0.01; norm=none 0.82 ± 0.1 ✗`."""
    cases = "; ".join(_case(one, condition) for condition in one.values)
    return f"{one.claim.quantity}, {one.claim.expected}: {cases}"


def _case(one: Conclusion, condition: str) -> str:
    spread = one.spread(condition)
    around = f" ± {number(spread)}" if math.isfinite(spread) else ""
    mark = "" if one.holds_if(condition) else " ✗"
    return f"{condition} {number(one.mean(condition))}{around}{mark}".strip()
