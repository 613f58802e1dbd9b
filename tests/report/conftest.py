"""Small synthetic run folders, written with the standard library alone."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vanishgrad.records import strict

GRADIENTS = [
    *["step", "epoch", "layer", "name", "grad_norm", "bias_grad_norm", "delta_norm", "weight_norm"],
    *["update_ratio", "weight_drift", "act_mean", "act_std", "saturation", "dead_fraction"],
]
METRICS = [
    *["step", "epoch", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "penalty"],
    *["grad_norm", "clipped_grad_norm", "seconds"],
]

WriteRun = Callable[..., Path]


Row = dict[str, Any]


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


@pytest.fixture(scope="session")
def add() -> SimpleNamespace:
    """Functions that add to a run folder what not every run has: `add.gates(folder)`, `add.record(...)`."""
    return SimpleNamespace(**{each.__name__: each for each in EXTRAS})


def time_gradients(
    folder: Path,
    slope: float = 0.1,
    length: int = 20,
    *,
    layers: int = 1,
    steps: Sequence[int] = (0, 20),
    cells: bool = False,
    change: Callable[[Row], Row] = lambda row: row,
) -> None:
    """||dLoss/dh_t|| falls by exactly `slope` decades per time step towards the first."""
    rows = [
        {"step": step, "layer": layer, "t": t, "grad_norm": 10 ** (slope * (t - length)),
         "cell_grad_norm": 2 * 10 ** (slope * (t - length) / 2) if cells else ""}
        for step in steps for layer in range(1, layers + 1) for t in range(1, length + 1)
    ]  # fmt: skip
    add_rows(folder / "time_gradients.csv", [change(row) for row in rows])


def gates(
    folder: Path, names: Sequence[str] = ("input", "forget", "output"), steps: Sequence[int] = (0, 10, 20)
) -> None:
    """Each gate opens by 0.01 per step from its own start; the fractions differ between two time steps."""
    rows = [
        {"step": step, "layer": 1, "gate": gate, "t": t,
         "near_zero": max(0.0, 0.5 - 0.01 * step - 0.1 * place),
         "near_one": 0.1 * place + 0.01 * step + 0.05 * (t - 1.5), "mean": 0.5}
        for step in steps for place, gate in enumerate(names) for t in (1, 2)
    ]  # fmt: skip
    add_rows(folder / "gates.csv", rows)


def residual_terms(
    folder: Path, branch: float = 0.3, blocks: int = 10, steps: Sequence[int] = (0, 20)
) -> None:
    rows = [
        {"step": step, "block": block, "layer": 2 * block + 1, "stream_norm": 1.1**block,
         "shortcut_norm": 1.0, "branch_norm": branch * (1 + 0.1 * block), "cosine": 0.2 * math.sin(block)}
        for step in steps for block in range(1, blocks + 1)
    ]  # fmt: skip
    add_rows(folder / "residual_gradients.csv", rows)


def input_gradients(folder: Path, length: float = 10.0, steps: Sequence[int] = (0, 20)) -> None:
    rows = [
        {"step": step, "lag": lag, "correlation": math.exp(-lag / length)}
        for step in steps
        for lag in range(60)
    ]
    add_rows(folder / "input_gradients.csv", rows)


def dead_units(folder: Path, rate: float = 0.02, steps: Sequence[int] = (0, 10, 20)) -> None:
    """Layer 1 has 10 units, layer 2 has 30 and dies twice as fast."""
    rows = [
        {"step": step, "layer": layer, "units": units, "dead_fraction": min(1.0, layer * rate * step)}
        for step in steps
        for layer, units in ((1, 10), (2, 30))
    ]
    add_rows(folder / "dead_units.csv", rows)


def pretraining(folder: Path, layers: int = 3, epochs: int = 5) -> None:
    """Layer l starts at 100 l and keeps 1/(1 + epoch/l) of it."""
    rows = [
        {"layer": layer, "epoch": epoch, "loss": 100 * layer / (1 + epoch / layer)}
        for layer in range(1, layers + 1)
        for epoch in range(epochs + 1)
    ]
    add_rows(folder / "pretrain.csv", rows)


def frame_losses(folder: Path, best: float = 100.0, steps: Sequence[int] = (0, 20)) -> None:
    rows = [
        {"step": step, "frame": frame, "cross_entropy": best * (1 + frame / 5) if step else 700.0,
         "mean_frame_cross_entropy": 300.0 + frame, "floor_cross_entropy": 20.0}
        for step in steps for frame in range(1, 11)
    ]  # fmt: skip
    add_rows(folder / "frames.csv", rows)


def filters(folder: Path, *, units: int = 50, channels: int = 1, pretrained: bool = True) -> None:
    generator = np.random.default_rng(0)
    side = np.arange(8.0) - 3.5
    stripes = np.cos(np.add.outer(np.add.outer(0.1 * np.arange(units), 0.5 * side), side))
    noise = generator.normal(size=(3, units, channels, 8, 8)).astype(np.float32)
    learned = {"pretrained": noise[1] * 0.3 + stripes[:, None]} if pretrained else {}
    trained = (noise[2] + 3 * stripes[:, None]).astype(np.float32)
    np.savez(folder / "filters.npz", start=noise[0], trained=trained, **learned)


def predicted_frames(folder: Path, blur: float = 0.5, given: int = 10, predicted: int = 10) -> None:
    """A bright square that moves by one pixel a frame; its prediction fades."""
    frames = np.zeros((2, given + predicted, 1, 24, 24), dtype=np.float32)
    for t in range(given + predicted):
        frames[:, t, :, t % 18 : t % 18 + 6, 4:10] = 1.0
    true = frames[:, given:]
    fading = true * (blur ** np.linspace(0, 2, predicted))[:, None, None, None].astype(np.float32)
    np.savez(folder / "frames.npz", given=frames[:, :given], true=true, predicted=fading)


def landscape(folder: Path) -> None:
    """A bowl, with a cliff that is not finite in one corner."""
    side = np.linspace(-1.0, 1.0, 9)
    bowl = 0.1 + side[None] ** 2 + 10 * side[:, None] ** 2
    bowl[-1, -1] = np.inf
    planes = {f"{plane}_{part}": values for plane in ("path", "random")
              for part, values in (("x", side), ("y", side), ("loss", bowl))}  # fmt: skip
    way = np.array([[0.8, 0.5], [0.4, 0.1], [0.0, 0.0]])
    np.savez(folder / "landscape.npz", steps=[0, 1, 2], way=way, shares=[0.9, 0.1], **planes)


def activation_inputs(folder: Path, layers: int = 4, bins: int = 12) -> None:
    """Bells that widen from layer to layer; flat beyond 3."""
    edges = np.linspace(-6.0, 6.0, bins + 1)
    middle = (edges[1:] + edges[:-1]) / 2
    bells = np.exp(-((middle[None] / np.arange(1, layers + 1)[:, None]) ** 2))
    fractions = bells / bells.sum(axis=1, keepdims=True)
    flat = np.abs(middle) > 3
    np.savez(folder / "activations.npz", edges=edges, flat=flat, start=fractions, end=fractions[::-1])


def sample(folder: Path, text: str) -> None:
    (folder / "sample.txt").write_text(text, encoding="utf-8")


def record(folder: Path, **changed: Any) -> None:
    """Change entries of run.json."""
    known = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(known | changed))


def no_accuracy(folder: Path, last_loss: float) -> None:
    """Leave only losses, the last of them `last_loss`."""
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    blank = {"train_accuracy": "", "val_accuracy": ""}
    rows = [row | blank for row in rows]
    rows[-1] |= {"train_loss": last_loss, "val_loss": last_loss}
    _table(folder / "metrics.csv", METRICS, rows)
    final = {"train_loss": last_loss, "val_loss": last_loss}
    record(folder, metrics={"final": final, "best": {**final, "step": 20}})


EXTRAS = (
    time_gradients, gates, residual_terms, input_gradients, dead_units, pretraining, frame_losses, filters,
    predicted_frames, landscape, activation_inputs, sample, record, no_accuracy,
)  # fmt: skip


def add_rows(path: Path, rows: Sequence[Row]) -> None:
    _table(path, list(rows[0]), rows)


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
    (folder / "run.json").write_text(json.dumps(strict(record)))
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
