"""Writing a report folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vanishgrad.errors import SettingError
from vanishgrad.files import replace_file
from vanishgrad.folders import written_folder
from vanishgrad.report.exhibits import Wanted
from vanishgrad.report.gallery import Compute, Gallery, computing
from vanishgrad.report.loading import REPORT_PAGE, load_runs
from vanishgrad.report.page import report_page
from vanishgrad.report.runs import Noted, Runs
from vanishgrad.report.tables import selection, settings_table, summary_table
from vanishgrad.rows import written

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
    wanted = wanted or Wanted()
    with written_folder("out", folder):
        with computing(computed or {}, loaded, wanted) as tables:
            summary = summary_table(loaded)
            settings = settings_table(summary, loaded.keys)
            for name, table in (("summary.csv", summary), ("settings.csv", settings)):
                replace_file(folder / name, written(table, 9))
            gallery = Gallery(loaded, summary, selection(settings), wanted, dict(tables))
        with gallery.drawn(folder / "figures") as pictures:
            page = report_page(loaded, summary, settings, pictures, gallery.colours)
        replace_file(folder / REPORT_PAGE, page.encode())
    return ReportResult(folder / REPORT_PAGE, loaded.skipped, loaded.cut_short, loaded.broken_extras)


def _nothing(runs: Sequence[str | Path], loaded: Runs) -> str:
    where = ", ".join(map(str, runs))
    return f"runs={where}: no readable run there{loaded.reasons}"
