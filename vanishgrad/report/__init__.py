"""Run folders -> tables -> figures -> one HTML page. Reads files only; knows nothing of training."""

from vanishgrad.report.runs import Runs, SavedRun, Skipped, load_runs, newest_runs
from vanishgrad.report.write import ReportResult, write_report

__all__ = ["ReportResult", "Runs", "SavedRun", "Skipped", "load_runs", "newest_runs", "write_report"]
