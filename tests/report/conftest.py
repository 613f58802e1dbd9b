"""Small synthetic run folders, written with the standard library alone."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

GRADIENTS = [
    *["step", "epoch", "layer", "name", "grad_norm", "bias_grad_norm", "delta_norm", "weight_norm"],
    *["update_ratio", "weight_drift", "act_mean", "act_std", "saturation", "dead_fraction"],
]
METRICS = [
    *["step", "epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "penalty"],
    *["grad_norm", "clipped_grad_norm", "seconds"],
]

WriteRun = Callable[..., Path]


def choices(**given: Any) -> dict[str, Any]:
    """The recorded setting of a run; a string for a group is a choice without parameters."""
    setting: dict[str, Any] = {
        "depth": 5,
        "lr": 0.1,
        "seed": 0,
        "name": None,
        "model": {"name": "mlp"},
        "act": {"name": "relu"},
        "norm": {"name": "none", "position": "pre"},
        "remedy": {"name": "none"},
    }
    for key, value in given.items():
        is_choice = isinstance(setting.get(key), dict) and isinstance(value, str)
        setting[key] = {**setting[key], "name": value} if is_choice else value
    return setting


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Write a run folder below `tmp_path`."""
    return partial(write_run_below, tmp_path)


@pytest.fixture(scope="module")
def module_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the tests of a module share."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def write_shared_run(module_path: Path) -> WriteRun:
    """Write a run folder below `module_path`."""
    return partial(write_run_below, module_path)


def write_run_below(root: Path, place: str, **given: Any) -> Path:
    return write_run_folder(root / place, **given)


def write_run_folder(
    folder: Path,
    *,
    setting: Mapping[str, Any] | None = None,
    slope: float = 0.1,
    scale: float = 1.0,
    accuracy: float = 0.9,
    steps: Sequence[int] = (0, 10, 20),
    status: str = "completed",
    overrides: Sequence[str] = (),
    change: Callable[[dict[str, Any]], dict[str, Any]] = lambda row: row,
) -> Path:
    """A run whose delta_norm falls by exactly `slope` decades per hidden layer towards the input.

    `change` may alter each row of gradients.csv before it is written.
    """
    setting = choices(**(setting or {}))
    folder.mkdir(parents=True)
    layers = int(setting.get("depth", 5)) + 1
    rows = [
        change(_gradient_row(step, layer, layers, slope, scale))
        for step in steps
        for layer in range(1, layers + 1)
    ]
    last = [_metric_row(step, steps[-1], accuracy) for step in steps]
    _table(folder / "gradients.csv", GRADIENTS, rows)
    _table(folder / "metrics.csv", METRICS, last)
    final = {key: last[-1][key] for key in ("train_loss", "val_loss", "val_accuracy")}
    record = {
        "schema_version": 1,
        "status": status,
        "choices": setting,
        "effective": setting,
        "config": {},
        "overrides": list(overrides),
        "seed": setting.get("seed"),
        "metrics": {"final": final, "best": {**final, "step": steps[-1]}},
        "diverged_at": {"step": steps[-1], "layer": 1, "what": "act_mean"} if status == "diverged" else None,
        "steps": steps[-1],
    }
    (folder / "run.json").write_text(json.dumps(record))
    return folder


def _gradient_row(step: int, layer: int, layers: int, slope: float, scale: float) -> dict[str, Any]:
    norm = scale * 10.0 ** (slope * (layer - layers))
    return {
        "step": step,
        "epoch": 0,
        "layer": layer,
        "name": f"layers.{layer}",
        "grad_norm": 3 * norm,
        "bias_grad_norm": 0.5 * norm,
        "delta_norm": norm,
        "weight_norm": 2.0,
        "update_ratio": 1e-3 * norm,
        "weight_drift": 1e-3 * norm * step,
        "act_mean": 0.1,
        "act_std": 1.0,
        "saturation": 0.5,
        "dead_fraction": 0.0,
    }


def _metric_row(step: int, last: int, accuracy: float) -> dict[str, Any]:
    reached = 0.1 + (accuracy - 0.1) * (step / last if last else 0.0)
    loss = -math.log(max(reached, 1e-3))
    return {
        "step": step,
        "epoch": 0,
        "lr": 0.1,
        "train_loss": loss,
        "train_accuracy": reached,
        "val_loss": loss,
        "val_accuracy": reached,
        "grad_norm": 1.0,
        "seconds": 0.01 * step,
    }


def _table(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
