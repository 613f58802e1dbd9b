"""Loss functions of `(batch, outputs)` predictions, averaged over the batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor
from torch.nn import functional as F


class Loss(Protocol):
    """The mean loss of a batch."""

    name: ClassVar[str]

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """A scalar; `targets` are class numbers `(batch,)` or values `(batch, outputs)`."""
        ...


def _values(targets: Tensor, outputs: Tensor) -> Tensor:
    """Targets in the form of the outputs: class numbers become one-hot rows."""
    if targets.is_floating_point():
        return targets.to(outputs.dtype).reshape(outputs.shape)
    return F.one_hot(targets, outputs.shape[1]).to(outputs.dtype)


@dataclass(frozen=True)
class CrossEntropy:
    """Softmax cross-entropy in nats, mean over examples."""

    name: ClassVar[str] = "cross_entropy"

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets)


@dataclass(frozen=True)
class BCE:
    """Binary cross-entropy, a sigmoid per class: summed over classes, mean over examples."""

    name: ClassVar[str] = "bce"

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        loss = F.binary_cross_entropy_with_logits(outputs, _values(targets, outputs), reduction="sum")
        return loss / len(outputs)


@dataclass(frozen=True)
class MSE:
    """Squared error, summed over outputs, mean over examples; classes as one-hot values."""

    name: ClassVar[str] = "mse"

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs, _values(targets, outputs), reduction="sum") / len(outputs)
