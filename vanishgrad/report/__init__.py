"""Run folders -> tables -> figures -> one HTML page. Reads files only; knows nothing of training."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vanishgrad.report.exhibits import Wanted
    from vanishgrad.report.loading import load_runs, newest_runs
    from vanishgrad.report.runs import Noted, Runs, SavedRun
    from vanishgrad.report.write import ReportResult, write_report

__all__ = ["Noted", "ReportResult", "Runs", "SavedRun", "Wanted", "load_runs", "newest_runs", "write_report"]


_DRAWING = {"ReportResult": "write", "Wanted": "exhibits", "write_report": "write"}
_READING = {"load_runs": "loading", "newest_runs": "loading"}  # the others: runs


def __getattr__(name: str) -> Any:
    """Import what reads with pandas, and what draws with matplotlib, when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _DRAWING:
        import_module("vanishgrad.report.backend")  # before anything imports what draws
    home = (_DRAWING | _READING).get(name, "runs")
    return getattr(import_module(f"vanishgrad.report.{home}"), name)
