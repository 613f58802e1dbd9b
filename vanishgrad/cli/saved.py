"""A run that has just ended, as the report sees it: what the terminal says and what the page says are one."""

from __future__ import annotations

from vanishgrad.diagnosis.layers import by_layer
from vanishgrad.records import read_run
from vanishgrad.report.runs import SavedRun
from vanishgrad.training import Result


def saved(result: Result) -> SavedRun:
    """The run folder of `result`, without reading its tables again."""
    assert result.folder is not None
    return SavedRun(result.folder, read_run(result.folder), by_layer(result.gradients), result.metrics)
