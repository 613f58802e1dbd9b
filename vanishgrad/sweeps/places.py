"""Where the runs of a sweep are: each in a folder of its own, inside that of the sweep."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from vanishgrad.errors import require
from vanishgrad.folders import make_folder, refuse_occupied, remove_empty, vacate
from vanishgrad.folders.content import MULTIRUN
from vanishgrad.folders.lock import LOCK_FILE
from vanishgrad.records import CURE_FILE, CURE_TABLE_FILE, SUMMARY_FILE, SWEEP_FILE, SWEEP_RUNS_FILE

KEY = "hydra.sweep.subdir"
RULE = f"each needs a folder of its own, such as {KEY}='${{hydra.job.num}}', the default"
OF_THE_SWEEP = {
    SWEEP_FILE, SWEEP_RUNS_FILE, SUMMARY_FILE, CURE_FILE, CURE_TABLE_FILE, MULTIRUN, LOCK_FILE,
    "logs", "report",
}  # fmt: skip


def refuse_shared(folder: Path, places: Sequence[Path], before: int = 0) -> None:
    """Refuse runs that have no folder of their own inside that of the sweep.

    Arguments:
        folder: of the sweep.
        places: the folders of its runs, by number.
        before: so many have been looked at already.
    """
    taken: dict[Path, int] = {}
    for number, path in enumerate(places):
        place = Path(os.path.relpath(path, folder))
        other = taken.setdefault(place, number)
        require(other == number, f"{KEY}={place}: runs {other} and {number} would share it; {RULE}")
        if number >= before:
            _refuse_outside(path.relative_to(folder) if path.is_relative_to(folder) else path, place)
    for place, number in taken.items():
        above = next((taken[parent] for parent in place.parents if parent in taken), number)
        require(above == number, f"{KEY}={place}: lies inside the folder of run {above}; {RULE}")


def _refuse_outside(typed: Path, place: Path) -> None:
    first = place.parts[0] if place.parts else ".."
    inside = first != ".." and not place.is_absolute()
    require(inside, f"{KEY}={typed}: must be a folder inside that of the sweep; {RULE}")
    require(first not in OF_THE_SWEEP, f"{KEY}={typed}: {first} is a name of the sweep's own; {RULE}")


def make_room(folder: Path, places: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse folders of new runs that hold one already, or whose name is too long.

    Arguments:
        folder: of the sweep.
        places: the folders of the new runs.
        overwrite: whether the sweep and the runs that are there go, once nothing is refused.
    """
    there = [place for place in places if os.path.isdir(place)]
    for place in there:
        refuse_occupied(KEY, place, "run", overwrite)
    for place in sorted(places, key=lambda place: len(str(place)))[-1:]:
        remove_empty(make_folder(KEY, place))
    if overwrite:
        for place in there:
            vacate(place, "run")
        vacate(folder, "sweep")
