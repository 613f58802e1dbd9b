"""Writing a report folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vanishgrad.errors import SettingError, require
from vanishgrad.report.exhibits import Wanted
from vanishgrad.report.gallery import Compute, Gallery
from vanishgrad.report.page import report_page
from vanishgrad.report.runs import Noted, Runs, load_runs
from vanishgrad.report.tables import selection, settings_table, summary_table

# Enough for a smooth curve on a screen; bounds the memory that a large sweep takes.
MOST_STEPS = 120


class ReportResult(NamedTuple):
    """The page that was written, the folders that were skipped, and those that were read in part.

    Arguments:
        page: index.html.
        skipped: folders without a readable run.
        cut_short: runs whose tables end before they did.
        damaged: runs of which a file that not every run has could not be read.
    """

    page: Path
    skipped: tuple[Noted, ...]
    cut_short: tuple[Noted, ...] = ()
    damaged: tuple[Noted, ...] = ()


def write_report(
    runs: Sequence[str | Path],
    out: str | Path,
    wanted: Wanted | None = None,
    computed: Mapping[str, Compute] | None = None,
) -> ReportResult:
    """Report on every run at or below the folders `runs`: tables, figures and `index.html` in `out`.

    Arguments:
        runs: folders of runs, sweeps, or of many of them.
        out: the folder to write to, made if need be.
        wanted: which figures, in which files and style; None: all.
        computed: tables that need more than run folders, by name, such as `activations`: each is given the
            runs when its figure is drawn.
    """
    loaded = load_runs(*runs, most_steps=MOST_STEPS)
    if not len(loaded):
        raise SettingError(_nothing(runs, loaded))
    folder = Path(out)
    _make(folder)
    summary = summary_table(loaded)
    settings = settings_table(summary, loaded.keys)
    summary.to_csv(folder / "summary.csv", index=False, float_format="%.9g")
    settings.to_csv(folder / "settings.csv", index=False, float_format="%.9g")
    gallery = Gallery(loaded, summary, selection(settings), wanted, computed)
    pictures = list(gallery.draw(folder / "figures"))
    index = folder / "index.html"
    index.write_text(report_page(loaded, summary, settings, pictures, gallery.colours), encoding="utf-8")
    return ReportResult(index, loaded.skipped, loaded.cut_short, loaded.broken_extras)


def _make(folder: Path) -> None:
    """Refuse a folder that cannot be written, before anything is drawn."""
    for path in (folder, *folder.parents):
        which = "" if path == folder else f"{path} "
        require(path.is_dir() or not path.exists(), f"out={folder}: {which}is a file, not a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(f"out={folder}: the folder cannot be made: {error.strerror}") from None
    require(os.access(folder, os.W_OK | os.X_OK), f"out={folder}: the folder is not writable")


def _nothing(runs: Sequence[str | Path], loaded: Runs) -> str:
    where = ", ".join(map(str, runs))
    return f"runs={where}: no readable run there{loaded.reasons}"
