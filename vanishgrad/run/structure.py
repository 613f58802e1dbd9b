"""What two runs must share to be trained as one stacked computation."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from typing import Any

from vanishgrad.choices.initialization import Default
from vanishgrad.choices.schedule import ConstantLR
from vanishgrad.run.experiment import Run

Structure = Run


def structure(run: Run) -> Structure:
    """What is left of `run` without the numbers and initial values in which the runs of a stack may differ.

    Those are the seed, the initialization, the learning rate with its schedule, the name, and what clipping,
    regularization and optimizer say that `varies`. Runs with equal, hashable structures have the same
    modules, batches of the same size and the same steps to measure.
    """
    return replace(
        run, seed=0, init=Default(), lr=None, warmup=0, schedule=ConstantLR(), name=None,
        clip=_with_defaults(run.clip), reg=_with_defaults(run.reg), optim=_with_defaults(run.optim),
    )  # fmt: skip


def _with_defaults(choice: Any) -> Any:
    """The choice with defaults in place of the numbers that vary within a stack."""
    defaults = {f.name: f.default for f in fields(choice) if f.name in choice.varies}
    return replace(choice, **{name: value for name, value in defaults.items() if value is not MISSING})
