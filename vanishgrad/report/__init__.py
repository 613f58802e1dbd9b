"""Run folders -> tables -> figures -> one HTML page. Reads files only; knows nothing of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vanishgrad.report.runs import Noted, Runs, SavedRun, load_runs, newest_runs

if TYPE_CHECKING:
    from vanishgrad.report.exhibits import Wanted
    from vanishgrad.report.write import ReportResult, write_report

__all__ = ["Noted", "ReportResult", "Runs", "SavedRun", "Wanted", "load_runs", "newest_runs", "write_report"]


def __getattr__(name: str) -> Any:
    """Import what draws, and with it matplotlib, when it is first used."""
    if name not in ("ReportResult", "Wanted", "write_report"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vanishgrad.report import backend, exhibits, write  # noqa: F401 (in this order)

    return getattr(exhibits if name == "Wanted" else write, name)
