"""Loss and accuracy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vanishgrad.choices.loss import Loss

CHUNK = 4096  # examples per forward pass


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor | None:
    """Fraction of examples whose largest output is the target class; None for targets that are not classes.

    An example with an output that is not a number counts as wrong.
    """
    if targets.is_floating_point():
        return None
    right = (outputs.argmax(1) == targets) & ~outputs.isnan().any(1)
    return right.double().mean()


@torch.no_grad()
def evaluate(model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor) -> tuple[float, float | None]:
    """(mean loss, accuracy) over a data set, in evaluation mode; the model's mode is restored."""
    training = model.training
    model.eval()
    try:
        outputs = torch.cat([model(chunk) for chunk in inputs.split(CHUNK)])
    finally:
        model.train(training)
    correct = accuracy(outputs, targets)
    return float(loss(outputs, targets)), None if correct is None else float(correct)
