"""The loss landscapes of runs that kept snapshots, for the report, which cannot compute them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from vanishgrad.report import Runs

MOST_SETTINGS = 4  # that the figure shows


def landscapes(runs: Runs) -> pd.DataFrame:
    """The table of landscapes; those that are missing are computed, one run of each of the first settings."""
    from vanishgrad.records import LANDSCAPE_ARRAYS, SNAPSHOTS

    chosen: dict[str, Path] = {}
    for run, label in zip(runs, runs.labels, strict=True):
        if run.status == "completed" and label not in chosen and (run.folder / SNAPSHOTS).is_dir():
            chosen[label] = run.folder
    for folder in list(chosen.values())[:MOST_SETTINGS]:
        if not (folder / LANDSCAPE_ARRAYS).exists():
            _compute(folder)
    return runs.extra("landscape")


def _compute(folder: Path) -> None:
    """Write the landscape; a run that has none costs the others nothing."""
    from vanishgrad.errors import SettingError
    from vanishgrad.training.landscape import write_landscape

    try:
        write_landscape(folder)
    except (SettingError, OSError) as error:
        print(f"note: no loss landscape: {error}", file=sys.stderr)
