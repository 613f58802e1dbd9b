"""Ending a run before its time, because of what its tables show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vanishgrad.records import Cell, read_gradients, read_metrics
from vanishgrad.run import Run
from vanishgrad.run.values import ANY

if TYPE_CHECKING:
    import pandas as pd

    from vanishgrad.diagnosis import Finding


class Stopping:
    """Watches a run for what its `stop_on` names.

    Arguments:
        run: the setting.
        record: run.json, which says what the setting is and what ignorance scores.
    """

    def __init__(self, run: Run, record: Mapping[str, Any]) -> None:
        from vanishgrad.diagnosis import Watch  # pandas, which most runs need at their end only

        self._wanted, self._watch = run.stop_on, Watch(record["effective"], record["baseline"])

    def gradients(self, rows: Sequence[Sequence[Cell]]) -> None:
        """Take the rows of gradients.csv of a logged step."""
        self._watch.gradients(rows)

    def metrics(self, row: Sequence[Cell]) -> None:
        """Take a row of metrics.csv."""
        self._watch.metrics(row)

    def found(self) -> Finding | None:
        """The worst finding so far among those that end the run."""
        findings = self._watch.diagnosis().findings
        return next((one for one in findings if self._wanted in (ANY, one.finding)), None)

    def restore(self, folder: Path, step: int) -> None:
        """Take what another process wrote of the steps before `step`."""
        self.gradients(list(_rows_before(read_gradients(folder), step)))
        for row in _rows_before(read_metrics(folder), step):
            self.metrics(row)


def _rows_before(table: pd.DataFrame, step: int) -> Iterable[tuple[Cell, ...]]:
    return table[table["step"] < step].itertuples(index=False, name=None)
