"""Other people's diagnosis tools, watching the same training loop; each only where it is installed.

    pip install torchmortem neural-observatory torchdiag

Each is used as its own documentation shows, with its own thresholds; what it calls a warning or worse counts.
They say nothing of what vanishgrad calls oscillating, stalled layers or not learning, but for torchmortem's
loss plateau, which counts as not learning.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import torch
from labelled_runs import Case, Seen, looped
from torch import nn

from vanishgrad.choices.data import load
from vanishgrad.choices.optimizer import SGD, Adam

JUDGED = ("vanishing", "exploding", "dead_units", "saturated", "not_learning", "diverged")


class Watcher(Protocol):
    """Called after every step with its loss, before the gradients are cleared."""

    def __call__(self, loss: float) -> None: ...

    def said(self, inputs: torch.Tensor) -> set[str]:
        """What it found, in our words, once training is over."""
        ...


class Torchmortem:
    """Autopsy around the loop, its findings from WARNING on."""

    package = "torchmortem"
    titles = (
        ("Vanishing", "vanishing"), ("Exploding", "exploding"), ("Dead units", "dead_units"),
        ("Activation saturation", "saturated"), ("Training divergence", "diverged"),
        ("Loss plateau", "not_learning"),
    )  # fmt: skip

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        logging.disable(logging.WARNING)
        self.autopsy = import_module(self.package).Autopsy(model, optimizer=optimizer)
        self.autopsy.attach()

    def __call__(self, loss: float) -> None:
        self.autopsy.step(loss=loss)

    def said(self, inputs: torch.Tensor) -> set[str]:
        self.autopsy.detach()
        report = self.autopsy.get_report()
        titles = [finding.title for finding in report.findings if finding.severity >= 1]
        return {ours for title in titles for theirs, ours in self.titles if title.startswith(theirs)}


class NeuralObservatory:
    """Observatory's report at the end, its warnings."""

    package = "neural_observatory"
    words = (("Vanishing", "vanishing"), ("Exploding", "exploding"), ("dead", "dead_units"),
             ("NaN", "diverged"), ("Inf ", "diverged"))  # fmt: skip

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        logging.disable(logging.WARNING)
        self.observatory, self.step = import_module(self.package).Observatory(model), 0
        self.observatory.watch()

    def __call__(self, loss: float) -> None:
        self.step += 1
        self.observatory.step(self.step)

    def said(self, inputs: torch.Tensor) -> set[str]:
        report = self.observatory.report()
        self.observatory.stop()
        told = [warning for result in report.warnings() for warning in result.warnings]
        return {ours for warning in told for theirs, ours in self.words if theirs in warning}


class Torchdiag:
    """check_gradients at the last step, check_dead_neurons on the training inputs."""

    package = "torchdiag"
    statuses = {"VANISH": "vanishing", "EXPLODE": "exploding"}  # noqa: RUF012

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.model, self.tool = model, import_module(self.package)
        self.found = set[str]()

    def __call__(self, loss: float) -> None:
        self.gradients = [parameter.grad for parameter in self.model.parameters()]

    def said(self, inputs: torch.Tensor) -> set[str]:
        for parameter, gradient in zip(self.model.parameters(), self.gradients, strict=True):
            parameter.grad = gradient
        with contextlib.redirect_stdout(io.StringIO()):
            layers = self.tool.check_gradients(self.model).values()
            dead = self.tool.check_dead_neurons(self.model, inputs).values()
        found = {self.statuses[one["status"]] for one in layers if one["status"] in self.statuses}
        return found | ({"dead_units"} if any(one["dead_pct"] > 50 for one in dead) else set())


TOOLS = (Torchmortem, NeuralObservatory, Torchdiag)


def watchable(case: Case) -> bool:
    """Whether the plain loop trains the case as it is: a perceptron or a CNN, one rate, nothing on top."""
    run = case.run
    plain = all(getattr(run, group).name == "none" for group in ("clip", "reg", "pretrain"))
    steps = isinstance(run.optim, Adam) or run.optim == SGD()
    return (
        plain and steps and run.model.name in ("mlp", "cnn") and run.criterion.name == "cross_entropy"
        and isinstance(run.batch_size, int) and not case.blind
    )  # fmt: skip


def watched(cases: Sequence[Case], tool: Callable[..., Watcher]) -> list[tuple[Case, Seen, set[str]]]:
    """Every case with what it left and what the tool says of it."""
    found = []
    for case in cases:
        kept: list[Any] = []

        def beside(model: nn.Module, optimizer: torch.optim.Optimizer, kept: list[Any] = kept) -> Watcher:
            kept.append(tool(model, optimizer))
            return kept[0]

        seen = looped(case, beside)
        found.append((case, seen, kept[0].said(load(case.run.data).train_x)))
    return found


def installed() -> list[type]:
    """The tools that can be imported."""
    return [tool for tool in TOOLS if find_spec(tool.package) is not None]
