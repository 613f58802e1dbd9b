"""vanishgrad: see every layer's gradient, compare what cures it when it vanishes or explodes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vanishgrad import renamed
from vanishgrad.version import __version__ as __version__

if TYPE_CHECKING:
    from vanishgrad.choices.model.build import build
    from vanishgrad.choices.regularization import penalty
    from vanishgrad.cures import Cure, cure
    from vanishgrad.diagnosis import Diagnosis, diagnose
    from vanishgrad.engine import LoadedRun, Result, load_run, resume, train
    from vanishgrad.measure import GradientMonitor
    from vanishgrad.prediction import predict
    from vanishgrad.report import load_runs
    from vanishgrad.run import Run
    from vanishgrad.sweeps.sweep import sweep
    from vanishgrad.theory.prediction import Prediction

__all__ = [
    "Cure",
    "Diagnosis",
    "GradientMonitor",
    "LoadedRun",
    "Prediction",
    "Result",
    "Run",
    "build",
    "cure",
    "diagnose",
    "load_run",
    "load_runs",
    "penalty",
    "predict",
    "resume",
    "sweep",
    "train",
]

# `lazy_loader` does the same from a stub file, which would be a dependency and a third place for each name.
_HOMES = {
    "Cure": "vanishgrad.cures",
    "Diagnosis": "vanishgrad.diagnosis",
    "GradientMonitor": "vanishgrad.measure",
    "LoadedRun": "vanishgrad.engine",
    "Prediction": "vanishgrad.theory.prediction",
    "Result": "vanishgrad.engine",
    "Run": "vanishgrad.run",
    "build": "vanishgrad.choices.model.build",
    "cure": "vanishgrad.cures",
    "diagnose": "vanishgrad.diagnosis",
    "load_run": "vanishgrad.engine",
    "load_runs": "vanishgrad.report",
    "penalty": "vanishgrad.choices.regularization",
    "predict": "vanishgrad.prediction",
    "resume": "vanishgrad.engine",
    "sweep": "vanishgrad.sweeps.sweep",
    "train": "vanishgrad.engine",
}

renamed.install()


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `vanishgrad --help` need not import torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
