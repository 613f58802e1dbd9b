"""What the experiments of a chapter measured, as tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import TypeAlias

import pandas as pd

from vanishgrad.report.extras import EXTRAS
from vanishgrad.report.runs import Runs
from vanishgrad.report.tables import DERIVED, summary_table

Tables: TypeAlias = Mapping[str, pd.DataFrame]
Evidence: TypeAlias = Mapping[str, Tables]
Compute = Callable[[Runs], pd.DataFrame]

PROBE = "probe"  # the one table of a probe
OF_RUNS = ("gradients", "metrics", "summary")


class RunTables(Mapping[str, pd.DataFrame]):
    """The tables of a sweep by name, each read when it is first asked for.

    `gradients` and `metrics` have the columns of the files, `summary` a row per run; then come the tables
    of `report.extras` (`time_gradients`, `dead_units`, ...) and `report.tables`, and what `computed` adds.
    Every row also has `run, setting, seed, status` and a column per swept key, such as `act`.

    Arguments:
        runs: of the sweep.
        computed: tables that need more than files, by name.
    """

    def __init__(self, runs: Runs, computed: Mapping[str, Compute] = MappingProxyType({})) -> None:
        self._runs, self._computed = runs, computed
        self._read_tables: dict[str, pd.DataFrame] = {}

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self:
            raise KeyError(name)
        if name not in self._read_tables:
            self._read_tables[name] = self._with_keys(self._read(name))
        return self._read_tables[name]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*OF_RUNS, *EXTRAS, *DERIVED, *self._computed]))

    @cached_property
    def _summary(self) -> pd.DataFrame:
        return summary_table(self._runs)

    def _read(self, name: str) -> pd.DataFrame:
        match name:
            case "gradients":
                return self._runs.gradients
            case "metrics":
                return self._runs.metrics
            case "summary":
                return self._summary
            case _ if name in self._computed:
                return self._computed[name](self._runs)
            case _ if name in DERIVED:
                return DERIVED[name](self._runs, self._summary)
            case _:
                return self._runs.extra(name)

    def _with_keys(self, table: pd.DataFrame) -> pd.DataFrame:
        new = [key for key in self._runs.keys if key not in table]
        if not new or "run" not in table:
            return table
        return table.merge(self._summary[["run", *new]], on="run", how="left")


Values: TypeAlias = Sequence[float]
Measured: TypeAlias = Values | Mapping[str, Values]

CLOSE = 0.2  # a range that is written as a number and a tolerance
HOLDS, FAILS, ONLY_IF = "holds", "fails", "holds only if"


@dataclass(frozen=True)
class Expected:
    """The range in which a claim expects a number, ends included; NaN is in no range.

    Arguments:
        low, high: its ends.
        unit: of the number; empty for a plain one.
    """

    low: float = -math.inf
    high: float = math.inf
    unit: str = ""

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        if self.low == -math.inf:
            return f"at most {self.high:g}{unit}"
        if self.high == math.inf:
            return f"at least {self.low:g}{unit}"
        middle, around = (self.low + self.high) / 2, (self.high - self.low) / 2
        if around == 0:
            return f"{middle:g}{unit}"
        if around < CLOSE * abs(middle):
            return f"{middle:g} ± {around:.2g}{unit}"
        return f"{self.low:g} to {self.high:g}{unit}"


def at_least(low: float, unit: str = "") -> Expected:
    """`low` and above."""
    return Expected(low=low, unit=unit)


def at_most(high: float, unit: str = "") -> Expected:
    """`high` and below."""
    return Expected(high=high, unit=unit)


def between(low: float, high: float, unit: str = "") -> Expected:
    """From `low` to `high`."""
    return Expected(low, high, unit)


def near(value: float, tolerance: float, unit: str = "") -> Expected:
    """`value`, give or take the tolerance.

    >>> str(near(2, 0.15, "times"))
    '2 ± 0.15 times'
    """
    return Expected(value - tolerance, value + tolerance, unit)


@dataclass(frozen=True)
class Claim:
    """Something that is said of the subject, and its test.

    Arguments:
        text: what is claimed, as a sentence.
        quantity: the number that decides it.
        expected: the range in which that number has to be for every seed.
        measure: a pure function of the tables: the number for each seed, or that for each of several
            conditions, by the name of the condition.
    """

    text: str
    quantity: str
    expected: Expected
    measure: Callable[[Evidence], Measured] = field(compare=False)

    def __call__(self, evidence: Evidence) -> Conclusion:
        """What the tables say of the claim."""
        measured = self.measure(evidence)
        by_condition = measured if isinstance(measured, Mapping) else {"": measured}
        return Conclusion(self, {name: tuple(map(float, each)) for name, each in by_condition.items()})


def claim(text: str, quantity: str, expected: Expected) -> Callable[[Callable[[Evidence], Measured]], Claim]:
    """Turn the function that measures into the claim."""

    def decorate(measure: Callable[[Evidence], Measured]) -> Claim:
        return Claim(text, quantity, expected, measure)

    return decorate


@dataclass(frozen=True)
class Conclusion:
    """What was measured of a claim.

    Arguments:
        claim: that was tested.
        values: the number for each seed, by condition; the condition is empty where there is only one case.
    """

    claim: Claim
    values: Mapping[str, tuple[float, ...]]

    def holds_if(self, condition: str) -> bool:
        """Whether the number is as expected for every seed."""
        values = self.values[condition]
        return bool(values) and all(value in self.claim.expected for value in values)

    @property
    def verdict(self) -> str:
        """`holds`, `fails` or `holds only if norm=batch`."""
        held = [condition for condition in self.values if self.holds_if(condition)]
        if not held:
            return FAILS
        return HOLDS if len(held) == len(self.values) else f"{ONLY_IF} {' or '.join(held)}"

    @property
    def kind(self) -> str:
        """The verdict without its condition."""
        return ONLY_IF if self.verdict.startswith(ONLY_IF) else self.verdict

    def mean(self, condition: str) -> float:
        """Over the seeds; NaN where there is none."""
        values = self.values[condition]
        return statistics.fmean(values) if values else math.nan

    def spread(self, condition: str) -> float:
        """The sample standard deviation over the seeds; NaN where it does not exist."""
        values = self.values[condition]
        finite = len(values) > 1 and all(map(math.isfinite, values))
        return statistics.stdev(values) if finite else math.nan
