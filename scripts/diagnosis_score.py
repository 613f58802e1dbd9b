"""Right and wrong diagnoses, counted."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from labelled_runs import Case

Z = 1.96  # of a 95 % interval


@dataclass
class Score:
    """Counts of right and wrong over settings."""

    found: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)
    healthy: int = 0
    alarmed: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, case: Case, said: set[str], judged: Iterable[str]) -> None:
        """One setting; only the pathologies that the judge knows are asked of it."""
        for name in judged:
            self.found[name] += name in said and name in case.truth
            self.missed[name] += name not in said and name in case.truth
            self.false[name] += name in said and name not in case.truth | case.also
        if not case.truth:
            self.healthy += 1
            self.alarmed += bool(said)
        if case.truth - said or said - case.truth - case.also:
            self.wrong.append(f"{case.family}: truth {sorted(case.truth)}, said {sorted(said)}: {told(case)}")


def told(case: Case) -> str:
    run = case.run
    return (
        f"{run.model.name} {run.act.name} depth={run.depth} {run.init} {run.norm.name} {run.residual.name} "
        f"{run.optim.name} lr={run.rate:g} batch={run.batch_size} seed={run.seed} {case.twist or ''}"
    )


def wilson(right: int, all_: int) -> str:
    """`0.98 (0.95 to 0.99)`."""
    if not all_:
        return "-"
    part, spread = right / all_, Z**2 / all_
    centre = (part + spread / 2) / (1 + spread)
    half = Z * math.sqrt(part * (1 - part) / all_ + spread / (4 * all_)) / (1 + spread)
    return f"{part:.3f} ({centre - half:.3f} to {centre + half:.3f})"


def show(title: str, total: Score, judged: Sequence[str]) -> None:
    """Rows of a table in Markdown."""
    print(f"\n**{title}**\n\n| | settings | recall | precision |\n|---|---|---|---|")
    sums = Counter[str]()
    for name in judged:
        found, missed, false = total.found[name], total.missed[name], total.false[name]
        sums.update(found=found, missed=missed, false=false)
        recall, precision = wilson(found, found + missed), wilson(found, found + false)
        print(f"| {name} | {found + missed} | {recall} | {precision} |")
    found = sums["found"]
    print(f"| all | {found + sums['missed']} | {wilson(found, found + sums['missed'])} | "
          f"{wilson(found, found + sums['false'])} |")  # fmt: skip
    print(f"\nFalse alarms on healthy networks: {total.alarmed} of {total.healthy}.")
