"""Loss and accuracy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vanishgrad.choices.loss import Loss

CHUNK = 4096  # examples per forward pass


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor | None:
    """Fraction of examples whose largest output is the target class; None where targets are not classes."""
    if targets.is_floating_point():
        return None
    return (outputs.argmax(1) == targets).double().mean()


def checked_accuracy(outputs: Tensor, targets: Tensor) -> Tensor | None:
    """As `accuracy`; NaN when an output is not finite, because the largest of such numbers is no answer."""
    correct = accuracy(outputs, targets)
    return correct if correct is None or outputs.isfinite().all() else torch.full_like(correct, float("nan"))


@torch.no_grad()
def evaluate(model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor) -> tuple[float, float | None]:
    """(mean loss, accuracy) over a data set, in evaluation mode; the model's mode is restored."""
    training = model.training
    model.eval()
    try:
        outputs = torch.cat([model(chunk) for chunk in inputs.split(CHUNK)])
    finally:
        model.train(training)
    correct = checked_accuracy(outputs, targets)
    return float(loss(outputs, targets)), None if correct is None else float(correct)
