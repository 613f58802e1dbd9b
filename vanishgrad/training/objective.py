"""The number by which a search tells one run from a better one."""

from __future__ import annotations

import math
from collections.abc import Mapping

from vanishgrad.data import Dataset
from vanishgrad.errors import require

ACCURACY, SLOPE = "val_accuracy", "gradient_slope"
OBJECTIVES = (ACCURACY, "val_loss", SLOPE)


def check_objective(name: str, data: Dataset) -> None:
    """Refuse an objective that runs on `data` do not have: every one of a search would be as bad."""
    others = " or ".join(other for other in OBJECTIVES if other != ACCURACY)
    require(
        name != ACCURACY or not data.val_y.is_floating_point(),
        f"objective={name}: targets that are values and no classes have no accuracy; choose {others}",
    )


def objective_of(name: str, status: str, numbers: Mapping[str, float | None], *, maximize: bool) -> float:
    """What a search is told of a run; the worst that there is, an infinity, where that is no finite number.

    A run that diverged or failed has lost what it last scored; the slope is the initial network's and stays.
    Optuna would take NaN for an error and end the search.

    Arguments:
        name: of the objective.
        status: with which the run ended.
        numbers: the final ones that are known, by name.
        maximize: whether the search looks for the largest.
    """
    value = numbers.get(name)
    kept = status == "completed" or name == SLOPE
    if kept and value is not None and math.isfinite(value):
        return value
    return -math.inf if maximize else math.inf
