"""Arrays that take a network to compute, for the report, which has none: landscapes, activations."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from vanishgrad.report import Runs

MOST_SETTINGS = 4  # that the figure shows


def landscapes(runs: Runs) -> pd.DataFrame:
    """The table of loss landscapes; those that are missing of runs with snapshots are computed."""
    from vanishgrad.records import LANDSCAPE_ARRAYS, SNAPSHOTS
    from vanishgrad.training.landscape import write_landscape

    kept = {run.folder for run in runs if (run.folder / SNAPSHOTS).is_dir()}
    _complete(runs, kept, LANDSCAPE_ARRAYS, write_landscape)
    return runs.extra("landscape")


def activation_inputs(runs: Runs) -> pd.DataFrame:
    """The table of what enters activations; those that are missing are computed."""
    from vanishgrad.records import ACTIVATIONS_ARRAYS
    from vanishgrad.training.activation_inputs import write_activation_inputs

    _complete(runs, {run.folder for run in runs}, ACTIVATIONS_ARRAYS, write_activation_inputs)
    return runs.extra("activation_inputs")


def _complete(runs: Runs, among: set[Path], file: str, write: Callable[[Path], None]) -> None:
    """Write the file of one completed run of each of the first settings, where it is missing.

    A run that cannot have it costs the others nothing.
    """
    from vanishgrad.errors import SettingError

    chosen: dict[str, Path] = {}
    for run, label in zip(runs, runs.labels, strict=True):
        if run.status == "completed" and run.folder in among:
            chosen.setdefault(label, run.folder)
    for folder in list(chosen.values())[:MOST_SETTINGS]:
        try:
            if not (folder / file).exists():
                write(folder)
        except (SettingError, OSError) as error:
            print(f"note: no {file}: {error}", file=sys.stderr)
