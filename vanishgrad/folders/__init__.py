"""Folders that are written: made, one process's own meanwhile, and nobody's result destroyed in them."""

from __future__ import annotations

from vanishgrad.folders.claim import (
    existing_folder,
    make_folder,
    new_folder,
    refuse_occupied,
    remove_empty,
    reserve_folder,
    written_folder,
)
from vanishgrad.folders.content import clear_run, is_empty, is_sweep, vacate
from vanishgrad.folders.lock import (
    acting_for,
    give_up_reserve,
    granted,
    last_words,
    locked,
    one_at_a_time,
    tidy_lock,
)

__all__ = [
    "acting_for", "clear_run", "existing_folder", "give_up_reserve", "granted", "is_empty", "is_sweep",
    "last_words", "locked", "make_folder", "new_folder", "one_at_a_time", "refuse_occupied", "remove_empty",
    "reserve_folder", "tidy_lock", "vacate", "written_folder",
]  # fmt: skip
