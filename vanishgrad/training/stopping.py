"""Ending a run before its time, because of what its tables show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vanishgrad.diagnosis import Watch
from vanishgrad.records import TIME_GRADIENTS_FILE, Cell, read_extra, read_gradients, read_metrics
from vanishgrad.run import Run
from vanishgrad.run.values import ANY

if TYPE_CHECKING:
    import pandas as pd

    from vanishgrad.diagnosis import Finding

Rows = Sequence[Sequence[Cell]]


class Stopping:
    """Watches gradients, metrics and derivatives through time of a run for what its `stop_on` names.

    Arguments:
        run: the setting.
        record: run.json, which says what the setting is and what ignorance scores.
    """

    def __init__(self, run: Run, record: Mapping[str, Any]) -> None:
        self._wanted, self._watch = run.stop_on, Watch(record["effective"], record["baseline"])
        self.found: Finding | None = None

    def gradients(self, rows: Rows, beside: Mapping[str, Rows]) -> None:
        """Take the rows of a logged step: of gradients.csv, and of the other tables by file name."""
        self._watch.add(rows, time_gradients=beside.get(TIME_GRADIENTS_FILE, ()))

    def metrics(self, row: Sequence[Cell]) -> None:
        """Take a row of metrics.csv, the last of a step; `found` is the worst finding that ends the run."""
        self._watch.add((), [row])
        self._judge()

    def restore(self, folder: Path, step: int) -> None:
        """Take what another process wrote of the steps before `step`."""
        tables = (read_gradients(folder), read_extra(folder, TIME_GRADIENTS_FILE))
        gradients, times = (_by_step(table, step) for table in tables)
        for at, rows in gradients.items():
            self._watch.add(rows, time_gradients=times.get(at, ()))
        for rows in _by_step(read_metrics(folder), step).values():
            self._watch.add((), rows)
        self._judge()

    def _judge(self) -> None:
        found = self._watch.diagnosis().findings
        self.found = next((one for one in found if self._wanted in (ANY, one.finding)), None)


def _by_step(table: pd.DataFrame, before: int) -> dict[int, list[tuple[Cell, ...]]]:
    found: dict[int, list[tuple[Cell, ...]]] = {}
    for row in _rows(table[table["step"] < before]):
        found.setdefault(int(row[0] or 0), []).append(row)
    return found


def _rows(table: pd.DataFrame) -> Iterable[tuple[Cell, ...]]:
    return table.itertuples(index=False, name=None)
