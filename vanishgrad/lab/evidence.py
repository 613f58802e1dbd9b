"""What the experiments of a chapter measured, as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TypeAlias

import pandas as pd

from vanishgrad.report.derived import DERIVED
from vanishgrad.report.extras import EXTRAS
from vanishgrad.report.runs import Runs
from vanishgrad.report.tables import summary_table

Tables: TypeAlias = Mapping[str, pd.DataFrame]
Evidence: TypeAlias = Mapping[str, Tables]
Compute = Callable[[Runs], pd.DataFrame]

PROBE = "probe"  # the one table of a probe
OF_RUNS = ("gradients", "metrics", "summary")


class RunTables(Mapping[str, pd.DataFrame]):
    """The tables of a sweep by name, each read when it is first asked for.

    `gradients` and `metrics` have the columns of the files, `summary` a row per run; beside those the tables
    of `report.extras` (`time_gradients`, `dead_units`, ...) and `report.derived`, and what `computed` adds.
    Every row also has `run, setting, seed, status` and a column per swept key, such as `act`.

    Arguments:
        runs: of the sweep.
        computed: tables that need more than files, by name.
    """

    def __init__(self, runs: Runs, computed: Mapping[str, Compute] = MappingProxyType({})) -> None:
        self._runs, self._computed = runs, computed
        self._known: dict[str, pd.DataFrame] = {}

    def __getitem__(self, name: str) -> pd.DataFrame:
        if name not in self:
            raise KeyError(name)
        if name not in self._known:
            self._known[name] = self._beside_keys(self._read(name))
        return self._known[name]

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

    def _beside_keys(self, table: pd.DataFrame) -> pd.DataFrame:
        new = [key for key in self._runs.keys if key not in table]
        if not new or "run" not in table:
            return table
        return table.merge(self._summary[["run", *new]], on="run", how="left")
