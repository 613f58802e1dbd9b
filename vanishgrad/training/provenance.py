"""Where a run came from, and the record it begins with."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from vanishgrad.choices.data import baseline_of
from vanishgrad.description import describe
from vanishgrad.records import SCHEMA_VERSION
from vanishgrad.run import Run


@dataclass(frozen=True)
class Provenance:
    """Where a run came from.

    Arguments:
        choices: the setting before its remedy, as `describe` gives it, and the remedy.
        config: the resolved configuration.
        overrides: what was typed.
    """

    choices: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)


def first_record(run: Run, provenance: Provenance | None, device: torch.device) -> dict[str, Any]:
    """run.json as it is before the first step; later values replace its own."""
    given = provenance or Provenance()
    effective = describe(run)
    return {
        "schema_version": SCHEMA_VERSION, "status": "running",
        "choices": given.choices or effective, "effective": effective,
        "config": given.config or effective, "overrides": given.overrides, "seed": run.seed,
        "parameters": None, "steps": 0, "seconds": 0.0, "metrics": {"final": {}, "best": {}},
        "baseline": baseline(run), "diverged_at": None, "stopped_on": None, "error": None,
        "versions": versions(), "device": str(device),
    }  # fmt: skip


def baseline(run: Run) -> dict[str, Any] | None:
    """What ignorance scores on the data, where that is known and the loss is the data's own."""
    found = baseline_of(run.data)
    comparable = found is not None and (
        found.metric != "val_loss" or run.criterion.name == run.data.default_loss
    )
    return asdict(found) if found is not None and comparable else None


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    try:
        own = version("vanishgrad")
    except PackageNotFoundError:  # run from a source tree that is not installed
        own = "unknown"
    return {"vanishgrad": own, "python": platform.python_version(), "torch": torch.__version__}
