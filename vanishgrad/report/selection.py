"""Of very many settings: which the figures show, the best and the worst, and the order of the table."""

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
    if not too_many(settings):
        return Selection(tuple(settings["setting"]))
    ranked = best_first(settings)["setting"]
    shown = pd.concat([ranked.head(BEST), ranked.tail(WORST)])
    return Selection(
        tuple(shown), f"of {len(settings)} settings the {BEST} best and the {WORST} worst, best first"
    )


def too_many(settings: pd.DataFrame) -> bool:
    """Whether there are more settings than a figure has lines for."""
    return len(settings) > BEST + WORST


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
