"""Loss and accuracy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vanishgrad.choices.loss import Loss

CHUNK = 4096  # examples per forward pass, at most
NUMBERS = 2**19  # inputs and outputs of a forward pass, at most where that leaves an example


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor | None:
    """Fraction of targets that are the largest output; None where targets are not classes.

    Arguments:
        outputs: `(batch, classes)` or `(batch, time, classes)`.
        targets: class numbers, `(batch,)` or `(batch, time)`, or values.
    """
    if targets.is_floating_point():
        return None
    return (outputs.argmax(-1) == targets).double().mean()


def checked_accuracy(outputs: Tensor, targets: Tensor) -> Tensor | None:
    """As `accuracy`; NaN when an output is not finite, because the largest of such numbers is no answer."""
    correct = accuracy(outputs, targets)
    return correct if correct is None or outputs.isfinite().all() else torch.full_like(correct, float("nan"))


@torch.no_grad()
def evaluate(model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor) -> tuple[float, float | None]:
    """(mean loss, accuracy) over a data set, in evaluation mode; the model's mode is restored."""
    training = model.training
    size = examples_per_pass(inputs, targets)
    model.eval()
    try:
        parts = [
            _weighted(model(x), y, loss, len(y) / len(targets))
            for x, y in zip(inputs.split(size), targets.split(size), strict=True)
        ]
    finally:
        model.train(training)
    losses, correct = zip(*parts, strict=True)
    return sum(losses), None if None in correct else sum(correct)


def examples_per_pass(inputs: Tensor, targets: Tensor) -> int:
    """As many as keep the memory of a pass small, whether examples are points, films or long sequences."""
    classes = 1 if targets.is_floating_point() else int(targets.max()) + 1
    numbers = inputs[0].numel() + targets[0].numel() * classes
    return max(1, min(CHUNK, NUMBERS // numbers))


def _weighted(outputs: Tensor, targets: Tensor, loss: Loss, share: float) -> tuple[float, float | None]:
    """A part's share of the (mean loss, accuracy) of the whole."""
    correct = checked_accuracy(outputs, targets)
    return share * float(loss(outputs, targets)), None if correct is None else share * float(correct)
