"""Evaluation on a running text."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vanishgrad.choices.loss import Loss
from vanishgrad.models.recurrent import Recurrent
from vanishgrad.training.batches import pieces
from vanishgrad.training.carried import Carried
from vanishgrad.training.evaluate import accuracy

PLACES = 32  # of a held-out text that are read side by side


@torch.no_grad()
def evaluate_text(
    model: Recurrent, loss: Loss, inputs: Tensor, targets: Tensor, length: int
) -> tuple[float, float | None]:
    """(mean loss per character, fraction of characters foretold) over a text, the state carried on.

    Arguments:
        inputs, targets: symbol numbers, `(characters,)`; what does not fill a piece at the end is left out.
        length: characters per forward pass.
    """
    training = model.training
    model.eval()
    carried, losses, right = Carried(), [], []
    length = min(length, len(inputs))
    try:
        for batch in pieces(inputs, targets, min(PLACES, len(inputs) // length), length):
            carried.reset() if batch.first else carried.advance()
            outputs = carried(model, batch.inputs)
            losses.append(float(loss(outputs, batch.targets)))
            right.append(float(_known(accuracy(outputs, batch.targets))))
    finally:
        model.train(training)
    return sum(losses) / len(losses), sum(right) / len(right)


def per_character(val_loss: float) -> dict[str, float]:
    """The two usual forms of a mean cross-entropy in nats."""
    return {
        "bits_per_character": val_loss / math.log(2),
        "perplexity": math.exp(val_loss) if val_loss < 700 else math.inf,
    }


def _known(value: Tensor | None) -> Tensor:
    assert value is not None
    return value
