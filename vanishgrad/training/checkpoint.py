"""checkpoint.pt: the whole state of a run, loadable with `weights_only=True`."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vanishgrad.records import CHECKPOINT_FILE, SNAPSHOTS, replace_file


def save_checkpoint(folder: Path, state: dict[str, Any]) -> None:
    """Write checkpoint.pt atomically."""
    _save(folder / CHECKPOINT_FILE, state)


def save_snapshot(folder: Path, step: int, model: nn.Module) -> None:
    """Write the weights after `step` updates to snapshots/<step>.pt."""
    (folder / SNAPSHOTS).mkdir(exist_ok=True)
    _save(folder / SNAPSHOTS / f"{step}.pt", {"step": step, "model": model.state_dict()})


def snapshot_steps(count: int, total: int) -> set[int]:
    """`count` steps from 0 to `total`, evenly spaced; the last one alone when count is 1."""
    count = min(count, total + 1)
    if count <= 1:
        return {total} if count else set()
    return {round(index * total / (count - 1)) for index in range(count)}


def _save(path: Path, state: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    torch.save(_alone(state), buffer)
    replace_file(path, buffer.getvalue())


def _alone(value: Any) -> Any:
    """Tensors without the memory that they share with others, all of which `torch.save` would write."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {key: _alone(item) for key, item in value.items()}
    return type(value)(map(_alone, value)) if isinstance(value, list | tuple) else value
