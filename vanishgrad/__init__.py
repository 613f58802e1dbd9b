"""vanishgrad: see every layer's gradient, compare what cures it when it vanishes or explodes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vanishgrad.choices.model.build import build
    from vanishgrad.choices.regularization import penalty
    from vanishgrad.diagnosis import Diagnosis, diagnose
    from vanishgrad.engine import Result, train
    from vanishgrad.measure import GradientMonitor
    from vanishgrad.prediction import predict
    from vanishgrad.report import load_runs
    from vanishgrad.run import Run
    from vanishgrad.theory.prediction import Prediction

__version__ = "0.1.0"
__all__ = [
    "Diagnosis",
    "GradientMonitor",
    "Prediction",
    "Result",
    "Run",
    "build",
    "diagnose",
    "load_runs",
    "penalty",
    "predict",
    "train",
]

_HOMES = {
    "Diagnosis": "vanishgrad.diagnosis",
    "GradientMonitor": "vanishgrad.measure",
    "Prediction": "vanishgrad.theory.prediction",
    "Result": "vanishgrad.engine",
    "Run": "vanishgrad.run",
    "build": "vanishgrad.choices.model.build",
    "diagnose": "vanishgrad.diagnosis",
    "load_runs": "vanishgrad.report",
    "penalty": "vanishgrad.choices.regularization",
    "predict": "vanishgrad.prediction",
    "train": "vanishgrad.engine",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `vanishgrad --help` need not import torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
