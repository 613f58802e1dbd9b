"""`vanishgrad report`."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path

from vanishgrad.cli.keywords import keywords, listed, truth
from vanishgrad.errors import require
from vanishgrad.report import newest_runs, write_report


def report(arguments: Sequence[str]) -> int:
    """Write a report and print where it is."""
    given = keywords(arguments, ("runs", "out", "open"))
    show = truth("open", given.get("open", "false"))
    folders = (
        [Path(folder).expanduser() for folder in listed(given["runs"])]
        if "runs" in given
        else [newest_runs()]
    )
    require(bool(folders), "runs=[]: name at least one folder")
    out = Path(given["out"]).expanduser() if "out" in given else _shared(folders) / "report"
    written = write_report(folders, out)
    for folder, reason in written.skipped:
        print(f"note: skipped {folder}: {reason}", file=sys.stderr)
    for folder, reason in written.cut_short:
        print(f"note: {folder}: {reason}", file=sys.stderr)
    print(written.page)
    if show:
        webbrowser.open(written.page.resolve().as_uri())
    return 0


def _shared(folders: Sequence[Path]) -> Path:
    """The folder itself; of several the one that holds them all."""
    return (
        folders[0]
        if len(folders) == 1
        else Path(os.path.commonpath([folder.absolute() for folder in folders]))
    )
