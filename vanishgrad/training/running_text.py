"""Evaluation on a running text."""

from __future__ import annotations

import math

from torch import Tensor, nn

from vanishgrad.choices.loss import Loss
from vanishgrad.models.evaluation_mode import evaluation_mode
from vanishgrad.training.batches import pieces
from vanishgrad.training.carried import Carried
from vanishgrad.training.evaluate import Score, pooled, score

PLACES = 32  # of a held-out text that are read side by side


def evaluate_text(model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor, length: int) -> Score:
    """(mean loss per character, fraction of characters foretold) over a text, the state carried on.

    Arguments:
        model: a recurrent network that answers at every time step.
        loss: of its outputs.
        inputs, targets: symbol numbers, `(characters,)`; what does not fill a piece at the end is left out.
        length: characters per forward pass; a shorter text is read in one.
    """
    length = min(length, len(inputs))
    places = min(PLACES, len(inputs) // length)
    carried, parts = Carried(), []
    with evaluation_mode(model):
        for batch in pieces(inputs, targets, places, length):
            carried.enter(batch.first)
            outputs = carried(model, batch.inputs)
            parts.append((batch.targets.numel(), score(outputs, batch.targets, loss)))
    return pooled(parts)


def per_character(val_loss: float) -> dict[str, float]:
    """The two usual forms of a mean cross-entropy in nats."""
    return {
        "bits_per_character": val_loss / math.log(2),
        "perplexity": math.exp(val_loss) if val_loss < 700 else math.inf,
    }
