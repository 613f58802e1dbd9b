"""A cure as plain data: what cure.json and cure.csv hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vanishgrad.cure.ranking import Standing
from vanishgrad.cure.search import Cure

COLUMNS = (
    "rank", "overrides", "cures", "round", "steps", "seeds", "learned", "accuracy_mean", "accuracy_spread",
    "loss_mean", "loss_spread", "gain", "steps_to_90", "cost_per_step", "gradient_slope", "diverged",
    "advised", "reason",
)  # fmt: skip


def plain(cure: Cure, folder: Path) -> dict[str, Any]:
    """The content of cure.json, without the commands to type.

    Arguments:
        cure: what was found.
        folder: of the trials, which run folders are named in.
    """
    return {
        "verdict": cure.diagnosis.verdict,
        "healthy": cure.healthy,
        "diagnosis": cure.diagnosis.plain(),
        "rounds": [{"steps": one.steps, "kept": one.kept} for one in cure.rounds],
        "untreated": row(cure.untreated, None) | runs_of(cure.untreated, folder),
        "treatments": [row(one, rank) | runs_of(one, folder) for rank, one in enumerate(cure.standings, 1)],
        "left_out": [one._asdict() for one in cure.left_out],
    }


def row(one: Standing, rank: int | None) -> dict[str, Any]:
    """A treatment with its figures: a row of cure.csv. What is not known is None."""
    courses = one.trial.courses
    (accuracy, around), (loss, about) = one.accuracy, one.loss
    values = (
        rank, " ".join(one.treatment.overrides), one.cures, one.round, one.trial.steps, len(courses),
        one.trial.learned, _known(accuracy), _known(around), _known(loss), _known(about), one.trial.gain,
        one.speed, one.cost, _known(one.slope), sum(run.status == "diverged" for run in courses),
        one.treatment.advised, one.treatment.reason,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def rows(cure: Cure) -> list[dict[str, Any]]:
    """All treatments, the best first, and the untreated setting, which has no rank."""
    standings: Sequence[Standing] = cure.standings
    return [*(row(one, rank) for rank, one in enumerate(standings, 1)), row(cure.untreated, None)]


def runs_of(one: Standing, folder: Path) -> dict[str, list[str]]:
    """The run folders of a treatment's last trial."""
    return {"runs": [run.folder.relative_to(folder).as_posix() for run in one.trial.courses]}


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
