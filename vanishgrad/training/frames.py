"""Predicted frames: how good they are, and some to look at."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vanishgrad.data import Dataset
from vanishgrad.data.moving_digits import mean_frame_loss
from vanishgrad.records import FRAMES_ARRAYS, Cell, write_arrays

CHUNK = 32  # sequences per forward pass
SHOWN = 4  # sequences kept to look at


@torch.no_grad()
def predicted_frames(model: nn.Module, inputs: Tensor) -> Tensor:
    """Logits of the frames that follow `inputs`, in evaluation mode, `(n, predicted, 1, side, side)`."""
    training = model.training
    model.eval()
    try:
        return torch.cat([model(chunk) for chunk in inputs.split(CHUNK)])
    finally:
        model.train(training)


def frame_rows(step: int, model: nn.Module, data: Dataset) -> list[tuple[Cell, ...]]:
    """Rows of frames.csv: held-out cross-entropy of each predicted frame, summed over pixels, in nats.

    Beside it that of always answering the mean training frame, and the least that is possible: a grey pixel
    has an entropy of its own.
    """
    device = next(model.parameters()).device
    logits = predicted_frames(model, data.val_x.to(device)).double().cpu()
    each = F.binary_cross_entropy_with_logits(logits, data.val_y.double().cpu(), reduction="none")
    true = data.val_y.double().cpu()
    entropy = -(torch.xlogy(true, true) + torch.xlogy(1 - true, 1 - true))
    columns = (_per_frame(each), mean_frame_loss(data.train_y.cpu(), data.val_y.cpu()), _per_frame(entropy))
    return [(step, frame, *row) for frame, row in enumerate(torch.stack(columns, 1).tolist(), 1)]


def _per_frame(pixels: Tensor) -> Tensor:
    """Sum over the pixels, mean over sequences: `(n, frames, 1, side, side) -> (frames,)`."""
    return pixels.sum((2, 3, 4)).mean(0)


def save_frames(folder: Path, model: nn.Module, data: Dataset) -> None:
    """frames.npz: some held-out sequences, what was given, what followed and what was predicted."""
    given = data.val_x[:SHOWN]
    predicted = predicted_frames(model, given).sigmoid()
    write_arrays(
        folder / FRAMES_ARRAYS, given=given.cpu().numpy(), true=data.val_y[:SHOWN].cpu().numpy(),
        predicted=predicted.cpu().numpy(),
    )  # fmt: skip
