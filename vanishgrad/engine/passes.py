"""Dropout in a stack: every run draws the noise that it would draw alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch._C import _functorch
from torch.func import functional_call

from vanishgrad.choices.model.build import AnyNetwork
from vanishgrad.choices.regularization import L1, L2, ElasticNet, Regularization
from vanishgrad.measure.tape import RecordedPass, Tape
from vanishgrad.modules.dropout import SeededDropout
from vanishgrad.modules.packed import Blocks, Storage
from vanishgrad.modules.weights import WeightMatrix, weight_matrices
from vanishgrad.run import Run


class StackedDropout:
    """Computes what a dropout does in a model that `torch.vmap` calls for all runs at once.

    Arguments:
        own: the dropout modules of the runs, which count their calls.
    """

    def __init__(self, own: Sequence[SeededDropout]) -> None:
        self._own = tuple(own)

    def __call__(self, x: Tensor) -> Tensor:
        masked: Tensor = _Masked.apply(x, self._own)  # type: ignore[no-untyped-call]
        return masked


class _Masked(torch.autograd.Function):
    """x times a mask for each run; its rule for `vmap` is the only way it is called."""

    @staticmethod
    def forward(x: Tensor, own: Sequence[SeededDropout]) -> Tensor:
        raise NotImplementedError("is called for a stack of runs")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        return None

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: Tensor, own: Sequence[SeededDropout]) -> tuple[Tensor, int]:
        stacked = x.movedim(in_dims[0], 0)
        pairs = zip(own, stacked, strict=True)
        masks = [one.noise(part) if one.rate else torch.ones_like(part) for one, part in pairs]
        return stacked * torch.stack(masks), 0


def share_noise(template: nn.Module, models: Sequence[nn.Module]) -> None:
    """Let every dropout of `template`, the network that is called, do what those of the runs do.

    The module stays in its place: a recurrent network keeps its dropouts in a list of its own too.
    """
    for path, part in template.named_modules():
        if isinstance(part, SeededDropout):
            own = [model.get_submodule(path) for model in models]
            dropouts = [dropout for dropout in own if isinstance(dropout, SeededDropout)]
            part.forward = StackedDropout(dropouts)  # type: ignore[method-assign]


@dataclass(frozen=True)
class StackedPass:
    """What a pass gives for every run.

    Arguments:
        losses: of the runs, `(runs,)`, without the penalties.
        penalties: `(runs,)`; None without any.
        outputs: `(runs, batch, ...)`.
        targets: in the same form.
        recorded: what a tape saw, of all runs together; None where it was not asked for.
    """

    losses: Tensor
    penalties: Tensor | None
    outputs: Tensor
    targets: Tensor
    recorded: RecordedPass | None


class StackedNetwork(Protocol):
    """Computes a pass of all runs; the gradients go into the blocks it was made with."""

    def __call__(self, inputs: Tensor, targets: Tensor, record: bool) -> StackedPass:
        """Forward and backward on `(runs, batch, ...)`; `record` keeps what a measurement needs."""
        ...

    def outputs(self, inputs: Tensor) -> Tensor | None:
        """The outputs of all runs for the same inputs in evaluation mode; None where each run does that."""
        ...


class Vmapped:
    """Any network, called once for all runs by `torch.vmap`.

    Arguments:
        runs: the settings, of one structure.
        template: the network that is called; its own values are not used.
        storage: the parameters and buffers of all runs.
        gradients: where the gradients go.
        device: where it computes.
    """

    def __init__(
        self, runs: Sequence[Run], template: AnyNetwork, storage: Storage, gradients: Blocks,
        device: torch.device,
    ) -> None:  # fmt: skip
        run = runs[0]
        _quiet()
        self._loss, self._storage, self._gradients = run.criterion, storage, gradients
        matrices = weight_matrices(template)
        self._tape = Tape(template, matrices, keep_activations=run.measure == "all", listen=False)
        kinds = [kind for kind, _ in _parts(run.reg)]
        strengths = [[strength for _, strength in _parts(run.reg)] for run in runs]
        self._strengths = torch.tensor(strengths, dtype=torch.float64, device=device)
        self._network = _Penalized(template, matrices, kinds)

    def __call__(self, inputs: Tensor, targets: Tensor, record: bool) -> StackedPass:
        values = {f"network.{k}": v.detach().requires_grad_() for k, v in self._storage.parameters.items()}
        buffers = {f"network.{name}": buffer for name, buffer in self._storage.buffers.items()}
        with self._tape_running() if record else nullcontext():
            outputs, terms = torch.vmap(
                lambda v, b, x: functional_call(self._network, (v, b), (x,)), randomness="error"
            )(values, buffers, inputs)
        losses = torch.vmap(self._loss)(outputs, targets)
        penalties = (terms * self._strengths.to(terms.dtype)).sum(1) if terms.shape[1] else None
        total = losses.sum() if penalties is None else losses.sum() + penalties.sum()
        self._back(total, list(values.values()), record)
        found = self._tape.recorded if record else None
        told = None if penalties is None else penalties.detach()
        return StackedPass(losses.detach(), told, outputs.detach(), targets, found)

    def outputs(self, inputs: Tensor) -> None:
        return None

    def _tape_running(self) -> _Recording:
        return _Recording(self._tape)

    def _back(self, total: Tensor, values: list[Tensor], record: bool) -> None:
        awaited = [one for one in self._tape.recorded.awaited if one.edge is not None] if record else []
        asked: list[Any] = [*values, *(one.edge for one in awaited)]
        found = torch.autograd.grad(total, asked, allow_unused=True)
        for place, gradient in zip(self._gradients.stacked, found[: len(values)], strict=True):
            if gradient is None:
                place.zero_()
            else:
                place.copy_(gradient)
        for one, gradient in zip(awaited, found[len(values) :], strict=True):
            one.receive(gradient)


class _Recording:
    """A tape that runs inside and keeps what it has recorded."""

    def __init__(self, tape: Tape) -> None:
        self._tape = tape

    def __enter__(self) -> None:
        self._tape.clear()
        self._tape.start()

    def __exit__(self, *_: object) -> None:
        self._tape.stop()


class _Penalized(nn.Module):
    """A network's outputs, and its penalties of strength 1, `(kinds,)`."""

    def __init__(
        self, network: AnyNetwork, matrices: Sequence[WeightMatrix], kinds: Sequence[Regularization]
    ) -> None:
        super().__init__()
        self.network, self._matrices, self._kinds = network, matrices, kinds

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        outputs = self.network(x)
        found = [kind.penalty(matrix.weight for matrix in self._matrices) for kind in self._kinds]
        terms = [term for term in found if term is not None]
        return outputs, torch.stack(terms) if terms else outputs.new_zeros(0)


def _parts(reg: Regularization) -> list[tuple[Regularization, float]]:
    """The penalties of strength 1 that add up to the one of `reg`, and their strengths."""
    match reg:
        case L1(strength=strength):
            return [(L1(1.0), strength)]
        case L2(strength=strength):
            return [(L2(1.0), strength)]
        case ElasticNet(l1=l1, l2=l2):
            return [(L1(1.0), l1), (L2(1.0), l2)]
        case _:
            return []


def _quiet() -> None:
    """No warning where `vmap` knows no rule and goes through the runs one by one, as in weight norm."""
    _functorch._set_vmap_fallback_warning_enabled(False)  # type: ignore[attr-defined]
