"""What ignorance scores."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Baseline:
    """What an answer that remembers nothing reaches on held-out data, under the data's own loss.

    Arguments:
        metric: val_loss or val_accuracy.
        value: what it is, of a loss in nats or squared units.
        source: which answer, and who published it.
    """

    metric: str
    value: float
    source: str


def baseline_of(data: object) -> Baseline | None:
    """The baseline of a choice of data; None where none was published."""
    return getattr(data, "baseline", None)
