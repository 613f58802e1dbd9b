"""The families of the benchmark of the diagnosis: one half to tune the rules on, the other held out.

What is called what, and why:

- vanishing: mean-field theory lets the gradient shrink by 3 decades or more over the hidden layers at the
  start, and training achieves nothing (or, recurrent, the gradient of the state shrinks by 3 decades or more
  because its recurrent matrix is a contraction, and training achieves nothing)
- exploding: the same upwards; diverged: numbers left the finite range, which nobody disputes
- dead_units: biases put so low that no example reaches a unit; or a learning rate that kills 6 of 10 hidden
  units or more, counted on all training examples
- saturated: by theory 3 of 4 outputs or more lie where the slope is under 5 % of its largest value
- stalled_layers: the first layers are given a ten-thousandth of the others' learning rate
- oscillating: the learning rate is so high that the loss ends above where it began, without leaving the
  finite range; a hundredth of it is usual
- not_learning: a step that is too small to move anything, weights that all start at 0, labels drawn anew,
  a penalty that outweighs the loss
- healthy: everything else, if it takes away half of the error of an answer that ignores the input: among
  them converged networks with tiny gradients, losses multiplied by 1e-6 or 1e6, zero-initialised branches,
  frozen layers, relu with its inactive half, small batches, deep sigmoids with batch normalization
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from labelled_runs import Case, predicted_fall, predicted_flat
from torch import nn

from vanishgrad import Run

CLEARLY, LEVEL = 3.0, 1.5  # decades that theory predicts of a network called vanishing, and of a healthy one
# |input| from which on the slope is under 5 % of its largest
FLAT_EDGE = {"tanh": 2.18, "sigmoid": 4.36, "erf": 1.731, "softsign": 3.472}
Family = Callable[[], Iterator[Case]]
VANISHING, EXPLODING, DIVERGED = frozenset({"vanishing"}), frozenset({"exploding"}), frozenset({"diverged"})
DIES = frozenset({"dead_units"})  # relu may die where nothing arrives
THROWN = frozenset({"exploding", "dead_units", "saturated"})  # what too high a rate may do beside
ALL = {
    "width": 24, "max_steps": 300, "batch_size": 32, "epochs": 10**6, "eval_every": 100, "log_every": 10,
    "threads": 1,
}  # fmt: skip


def run(**given: Any) -> Run:
    """A small network, quickly trained."""
    return Run(**{**ALL, **given})


def by_theory(family: str, runs: Sequence[Run], healthy: bool = True) -> Iterator[Case]:
    """Those of which mean-field theory says clearly what becomes of the gradient."""
    for one in runs:
        fall, edge = predicted_fall(one), FLAT_EDGE.get(one.act.name)
        if fall >= CLEARLY:
            yield Case(family, one, VANISHING, DIES if one.act.name == "relu" else frozenset())
        elif fall <= -CLEARLY:
            yield Case(family, one, EXPLODING, DIVERGED | {"saturated", "oscillating"})
        elif abs(fall) <= LEVEL and healthy and (edge is None or predicted_flat(one, edge) < 0.4):
            yield Case(family, one)


class Lowered:
    """Sets the biases of a part of the units of some layers."""

    def __init__(self, layers: Sequence[int], part: float, bias: float) -> None:
        self.layers, self.part, self.bias = layers, part, bias

    def __call__(self, model: nn.Module) -> None:
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear) and model.layer_of.get(name) in self.layers:
                module.bias[: round(self.part * len(module.bias))] = self.bias


class Frozen:
    """The first layers are not trained."""

    def __init__(self, layers: int) -> None:
        self.layers = layers

    def __call__(self, model: nn.Module) -> None:
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear) and model.layer_of.get(name, 99) <= self.layers:
                for parameter in module.parameters():
                    parameter.requires_grad_(False)
