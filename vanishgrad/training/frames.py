"""Predicted frames: how good they are, and some to look at."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vanishgrad.choices.loss import BCE, Loss
from vanishgrad.data import Dataset
from vanishgrad.data.moving_digits import mean_frame_loss
from vanishgrad.models.evaluation_mode import evaluation_mode
from vanishgrad.records import FRAMES_ARRAYS, Cell, write_arrays
from vanishgrad.training.evaluate import examples_per_pass

SHOWN = 4  # sequences kept to look at


def predicted_frames(model: nn.Module, given: Tensor, true: Tensor) -> Tensor:
    """What the network gives for the frames `true` that follow `given`, `(n, predicted, 1, side, side)`."""
    with evaluation_mode(model):
        return torch.cat([model(chunk) for chunk in given.split(examples_per_pass(given, true))])


def frame_rows(step: int, model: nn.Module, data: Dataset) -> list[tuple[Cell, ...]]:
    """Rows of frames.csv, for a network that gives logits.

    They hold the held-out cross-entropy of each predicted frame, summed over pixels, in nats. Beside it stand
    that of always answering the mean training frame, and the least that is possible: a grey pixel has an
    entropy of its own.
    """
    logits = predicted_frames(model, data.val_x, data.val_y).cpu().double()
    true = data.val_y.cpu().double()
    lost = F.binary_cross_entropy_with_logits(logits, true, reduction="none")
    entropy = -(torch.xlogy(true, true) + torch.xlogy(1 - true, 1 - true))
    columns = (_per_frame(lost), mean_frame_loss(data.train_y.cpu(), data.val_y.cpu()), _per_frame(entropy))
    return [(step, frame, *row) for frame, row in enumerate(torch.stack(columns, 1).tolist(), 1)]


def _per_frame(pixels: Tensor) -> Tensor:
    """Sum over the pixels, mean over sequences: `(n, frames, 1, side, side) -> (frames,)`."""
    return pixels.sum((2, 3, 4)).mean(0)


def save_frames(folder: Path, model: nn.Module, data: Dataset, loss: Loss) -> None:
    """frames.npz: some held-out sequences, what was given, what followed and what was predicted.

    What a network gives is a logit to the binary cross-entropy, and a pixel to the squared error.
    """
    given, true = data.val_x[:SHOWN], data.val_y[:SHOWN]
    outputs = predicted_frames(model, given, true)
    predicted = outputs.sigmoid() if isinstance(loss, BCE) else outputs.clamp(0, 1)
    write_arrays(
        folder / FRAMES_ARRAYS, given=given.cpu().numpy(), true=true.cpu().numpy(),
        predicted=predicted.cpu().numpy(),
    )  # fmt: skip
