"""Which settings the figures of a report show: all of them, or of very many the best and the worst."""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd

BEST, WORST = 30, 10  # lines of text that can still be read beside a figure


class Selection(NamedTuple):
    """The settings shown, in their order, and what to say of those left out."""

    labels: tuple[str, ...]
    note: str = ""


def selection(settings: pd.DataFrame) -> Selection:
    """All settings of `settings_table` as they come; of more than 40 the 30 best and the 10 worst."""
    if len(settings) <= BEST + WORST:
        return Selection(tuple(settings["setting"]))
    ranked = best_first(settings)["setting"]
    shown = pd.concat([ranked.head(BEST), ranked.tail(WORST)])
    return Selection(
        tuple(shown), f"of {len(settings)} settings the {BEST} best and the {WORST} worst, best first"
    )


def best_first(settings: pd.DataFrame) -> pd.DataFrame:
    """Rows of settings.csv by accuracy; those without one by loss; those with nothing finite last."""
    nothing = pd.Series(math.nan, index=settings.index)
    ranks = pd.DataFrame(
        {
            "accuracy": -settings.get("final_val_accuracy_mean", nothing),
            "loss": settings.get("final_val_loss_mean", nothing),
        }
    )
    order = ranks.sort_values(["accuracy", "loss"], kind="stable").index
    return settings.loc[order].reset_index(drop=True)
