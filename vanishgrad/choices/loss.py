"""Loss functions of a network's outputs, averaged over the batch.

Targets are class numbers, one per example or one at every time step, or values of the outputs' own shape.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from vanishgrad.choices.protocol import Loss


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Softmax cross-entropy in nats, mean over examples, and over time where every step has a target."""

    name: ClassVar[str] = "cross_entropy"
    classes: ClassVar[bool] = True

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        answers = outputs.flatten(0, -2)  # (answers, classes)
        wanted = targets.reshape(answers.shape) if targets.is_floating_point() else targets.flatten()
        return F.cross_entropy(answers, wanted)


@dataclass(frozen=True)
class BCE(Loss):
    """Binary cross-entropy, a sigmoid per output: summed over outputs, mean over examples.

    With a class at every time step, outputs are summed over classes, and the mean is over time as well.
    """

    name: ClassVar[str] = "bce"
    bits: ClassVar[bool] = True

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        loss = F.binary_cross_entropy_with_logits(outputs, _values(targets, outputs), reduction="sum")
        return loss / _answers(targets)

    def values(self, outputs: Tensor) -> Tensor:
        return outputs.sigmoid()

    def outputs(self, values: Tensor) -> Tensor:
        return values.clamp(1e-6, 1 - 1e-6).logit()


@dataclass(frozen=True)
class MSE(Loss):
    """Squared error, summed over outputs, mean over examples; classes as one-hot values.

    With a class at every time step, outputs are summed over classes, and the mean is over time as well.
    """

    name: ClassVar[str] = "mse"

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs, _values(targets, outputs), reduction="sum") / _answers(targets)


def _values(targets: Tensor, outputs: Tensor) -> Tensor:
    """Targets in the form of the outputs: class numbers become one-hot rows."""
    if targets.is_floating_point():
        return targets.to(outputs.dtype).reshape(outputs.shape)
    return F.one_hot(targets, outputs.shape[-1]).to(outputs.dtype)


def _answers(targets: Tensor) -> int:
    """How many answers are averaged over: one per class number, or per example of values."""
    return len(targets) if targets.is_floating_point() else targets.numel()
