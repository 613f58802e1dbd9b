"""Loss and accuracy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.choices.protocol import Loss
from vanishgrad.errors import require
from vanishgrad.modules.dropout import evaluation_mode

CHUNK = 4096  # examples per forward pass, at most
NUMBERS = 2**19  # inputs and outputs of a forward pass, at most where that leaves an example

Score = tuple[float, float | None]  # mean loss, accuracy as `checked_accuracy` has it


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor | None:
    """Fraction of targets that are the largest output; None where targets are not classes.

    Arguments:
        outputs: `(batch, classes)` or `(batch, time, classes)`.
        targets: class numbers, `(batch,)` or `(batch, time)`, or values.
    """
    correct = accuracies(outputs.unsqueeze(0), targets.unsqueeze(0))
    return None if correct is None else correct[0]


def accuracies(outputs: Tensor, targets: Tensor) -> Tensor | None:
    """As `accuracy`, of several runs at once: `(runs, ...)` give `(runs,)`."""
    if targets.is_floating_point():
        return None
    return (outputs.argmax(-1) == targets).double().flatten(1).mean(1)


def checked_accuracy(outputs: Tensor, targets: Tensor) -> Tensor | None:
    """As `accuracy`; NaN when an output is not finite, because the largest of such numbers is no answer."""
    correct = accuracy(outputs, targets)
    return correct if correct is None or outputs.isfinite().all() else torch.full_like(correct, float("nan"))


def evaluate(model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor) -> Score:
    """(mean loss, accuracy) over a data set, in evaluation mode; the model's mode is restored."""
    size = examples_per_pass(inputs, targets)
    pairs = zip(inputs.split(size), targets.split(size), strict=True)
    with evaluation_mode(model):
        return pooled_score([(len(y), score(model(x), y, loss)) for x, y in pairs])


def examples_per_pass(inputs: Tensor, targets: Tensor) -> int:
    """As many as keep the memory of a pass small, whether examples are points, films or long sequences."""
    classes = 1 if targets.is_floating_point() else int(targets.max()) + 1
    numbers = inputs[0].numel() + targets[0].numel() * classes
    return max(1, min(CHUNK, NUMBERS // numbers))


def score(outputs: Tensor, targets: Tensor, loss: Loss) -> Score:
    """(mean loss, accuracy) of a part of the data."""
    correct = checked_accuracy(outputs, targets)
    return float(loss(outputs, targets)), None if correct is None else float(correct)


def scores(outputs: Tensor, targets: Tensor, loss: Loss) -> list[Score]:
    """As `score`, of several runs with the same targets; outputs `(runs, batch, ...)`."""
    losses = torch.stack([loss(one, targets) for one in outputs]).double().tolist()
    correct = accuracies(outputs, targets.expand(len(outputs), *targets.shape))
    if correct is None:
        return [(one, None) for one in losses]
    finite = outputs.flatten(1).isfinite().all(1)
    fractions = correct.masked_fill(~finite, float("nan")).tolist()
    return list(zip(losses, fractions, strict=True))


def pooled_score(parts: Sequence[tuple[int, Score]]) -> Score:
    """(mean loss, accuracy) of all parts together, from (examples, score) of each."""
    total = sum(count for count, _ in parts)
    losses = [count / total * part_loss for count, (part_loss, _) in parts]
    correct = [count / total * right for count, (_, right) in parts if right is not None]
    return sum(losses), sum(correct) if correct else None


Numbers = dict[str, float | None]


class Metrics:
    """The last known metrics, and all that were known at the evaluation with the lowest held-out loss."""

    def __init__(self) -> None:
        self.last: Numbers = {}
        self.best: Numbers = {}
        self._lowest = math.inf

    @property
    def summary(self) -> dict[str, Numbers]:
        """The entry of run.json."""
        return {"final": self.last, "best": self.best}

    @property
    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"last": self.last, "best": self.best, "lowest": self._lowest}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what another process knew."""
        self.last, self.best, self._lowest = state["last"], state["best"], state["lowest"]

    def trained(self, **numbers: float | None) -> None:
        """A step was done."""
        self.last = self.last | numbers

    def evaluated(self, score: Score, extra: Mapping[str, float]) -> None:
        """The held-out split was evaluated; `beside` is what follows from the score, under other names."""
        loss, accuracy = score
        self.last = {**self.last, "val_loss": loss, "val_accuracy": accuracy, **extra}
        if loss < self._lowest:
            self._lowest, self.best = loss, self.last


ACCURACY, SLOPE = "val_accuracy", "gradient_slope"
OBJECTIVES = (ACCURACY, "val_loss", SLOPE)


def check_objective(name: str, data: Dataset) -> None:
    """Refuse an objective that runs on `data` do not have: every one of a search would be as bad."""
    others = " or ".join(other for other in OBJECTIVES if other != ACCURACY)
    require(
        name != ACCURACY or not data.val_y.is_floating_point(),
        f"objective={name}: targets that are values and no classes have no accuracy; choose {others}",
    )


def objective_of(name: str, status: str, numbers: Mapping[str, float | None], *, maximize: bool) -> float:
    """What a search is told of a run; the worst that there is, an infinity, where that is no finite number.

    A run that diverged or failed has lost what it last scored; the slope is the initial network's and stays.
    Optuna would take NaN for an error and end the search.

    Arguments:
        name: of the objective.
        status: with which the run ended.
        numbers: the final ones that are known, by name.
        maximize: whether the search looks for the largest.
    """
    value = numbers.get(name)
    kept = status == "completed" or name == SLOPE
    if kept and value is not None and math.isfinite(value):
        return value
    return -math.inf if maximize else math.inf
