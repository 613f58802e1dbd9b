"""Tables of runs whose numbers are made up, so that what a rule must say is known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

Tables = Callable[..., tuple[pd.DataFrame, pd.DataFrame]]
SETTING = {
    "depth": 10, "width": 64, "batch_size": 64, "lr": 0.1, "model": {"name": "mlp"}, "act": {"name": "tanh"},
    "init": {"name": "default"}, "norm": {"name": "none", "position": "pre"}, "residual": {"name": "none"},
    "clip": {"name": "none"}, "reg": {"name": "none"}, "pretrain": {"name": "none"}, "optim": {"name": "sgd"},
}  # fmt: skip


def make_tables(
    decades: float = 0.0,
    *,
    depth: int = 10,
    steps: int = 41,
    every: int = 10,
    accuracy: tuple[float, float] = (0.1, 0.95),
    scale: float = 1.0,
    drift: float | None = None,
    **columns: Any,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """gradients.csv and metrics.csv of a run.

    delta_norm and grad_norm fall by exactly `decades` from the last hidden layer to the first, at each step.
    By default every layer moves by as much as its gradient says, 0.5 in the last one. `columns` are values,
    or functions of (step, layer), that replace a column.
    """
    rows = []
    for step in range(0, steps * every, every):
        for layer in range(1, depth + 2):
            fall = decades * (min(layer, depth) - depth) / max(1, depth - 1)
            moved = 0.5 * 10**fall if drift is None else drift
            row = {
                "step": step, "epoch": step // 20, "layer": layer, "name": f"hidden_{layer}",
                **dict.fromkeys(("grad_norm", "bias_grad_norm", "delta_norm"), scale * 10**fall),
                "weight_norm": 8.0, "update_ratio": 1e-3 * 10**fall,
                "weight_drift": moved * step / (steps * every),
                "act_mean": 0.0, "act_std": 0.5, "saturation": 0.1, "dead_fraction": 0.0,
            }  # fmt: skip
            for name, value in columns.items():
                row[name] = value(step, layer) if callable(value) else value
            rows.append(row)
    part = np.linspace(0, 1, steps)
    reached = accuracy[0] + (accuracy[1] - accuracy[0]) * part
    loss = scale * (2.3 - 2.3 * (reached - 0.1))
    metrics = pd.DataFrame(
        {"step": np.arange(steps) * every, "epoch": np.arange(steps) * every // 20, "lr": 0.1,
         "train_loss": loss, "train_accuracy": reached, "val_loss": loss, "val_accuracy": reached,
         "grad_norm": scale}
    )  # fmt: skip
    return pd.DataFrame(rows), metrics


@pytest.fixture
def tables() -> Tables:
    """`make_tables`."""
    return make_tables


@pytest.fixture
def setting() -> dict[str, Any]:
    """A plain perceptron as run.json has it."""
    return dict(SETTING)
