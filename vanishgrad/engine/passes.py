"""A pass of any network: of a run alone by calling it, of a stack by calling it once for all runs."""

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
from vanishgrad.choices.regularization import Regularization
from vanishgrad.engine.text import Carried
from vanishgrad.measure.measurement import Measurement
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
    """What a pass gives for every run; the gradients lie in the blocks that the network was made with.

    Arguments:
        losses: of the runs, `(runs,)`, without the penalties.
        penalties: `(runs,)`; None without any.
        outputs: `(runs, batch, ...)`.
        targets: in the same form.
    """

    losses: Tensor
    penalties: Tensor | None
    outputs: Tensor
    targets: Tensor


class StackedNetwork(Protocol):
    """Computes a pass of all runs; the gradients go into the blocks it was made with."""

    def __call__(
        self, inputs: Tensor, targets: Tensor, measurement: Measurement | None = None
    ) -> StackedPass:
        """Forward and backward on `(runs, batch, ...)`, measured if a measurement is given."""
        ...

    def outputs(self, inputs: Tensor) -> Tensor | None:
        """The outputs of all runs for the same inputs in evaluation mode; None where each run does that."""
        ...


class Eager:
    """Any network of a run alone, called as it is.

    Arguments:
        run: the setting.
        model: the network.
        gradients: where the gradients go.
        fixed: the positions of parameters that are not trained, whose gradients count as 0.
        carried: the state of a network that reads a running text.
    """

    def __init__(
        self, run: Run, model: AnyNetwork, gradients: Blocks, fixed: Sequence[int] = (),
        carried: Carried | None = None,
    ) -> None:  # fmt: skip
        self._run, self._model, self._gradients, self._places = run, model, gradients, gradients.of_run(0)
        self._fixed, self._carried = frozenset(fixed), carried
        self._parameters, self._matrices = list(model.parameters()), weight_matrices(model)

    def __call__(
        self, inputs: Tensor, targets: Tensor, measurement: Measurement | None = None
    ) -> StackedPass:
        with nullcontext() if measurement is None else measurement.recording():
            outputs = self._outputs(inputs[0])
            penalty = self._run.reg.penalty(matrix.weight for matrix in self._matrices)
        loss = self._run.criterion(outputs, targets[0])
        total = loss if penalty is None else loss + penalty
        received = _differentiated(total, self._parameters, measurement)
        own = [None if index in self._fixed else received[index] for index in range(len(self._parameters))]
        _store(own, self._places)
        if measurement is not None:
            measurement.gradients(self._reached(own), received[len(own) :])
        penalties = None if penalty is None else penalty.detach()[None]
        return StackedPass(loss.detach()[None], penalties, outputs.detach()[None], targets)

    def outputs(self, inputs: Tensor) -> None:
        return None

    def _outputs(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self._model(inputs) if self._carried is None else self._carried(self._model, inputs)
        return outputs

    def _reached(self, received: Sequence[Tensor | None]) -> Blocks | list[Tensor | None]:
        """The gradients as they are measured: None for parameters that the loss does not reach."""
        lacking = {index for index, gradient in enumerate(received) if gradient is None} - self._fixed
        if not lacking:
            return self._gradients
        return [None if i in lacking else place for i, place in enumerate(self._places)]


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
        _quiet()
        self._loss, self._storage, self._gradients = runs[0].criterion, storage, gradients
        kinds = [kind for kind, _ in runs[0].reg.parts()]
        factors = [[factor for _, factor in run.reg.parts()] for run in runs]
        self._factors = torch.tensor(factors, dtype=torch.float64, device=device)
        self._network = _Penalized(template, weight_matrices(template), kinds)

    def __call__(
        self, inputs: Tensor, targets: Tensor, measurement: Measurement | None = None
    ) -> StackedPass:
        values = {f"network.{k}": v.detach().requires_grad_() for k, v in self._storage.parameters.items()}
        buffers = {f"network.{name}": buffer for name, buffer in self._storage.buffers.items()}
        with nullcontext() if measurement is None else measurement.recording():
            outputs, terms = torch.vmap(
                lambda v, b, x: functional_call(self._network, (v, b), (x,)), randomness="error"
            )(values, buffers, inputs)
        losses = torch.vmap(self._loss)(outputs, targets)
        penalties = (terms * self._factors.to(terms.dtype)).sum(1) if terms.shape[1] else None
        total = losses.sum() if penalties is None else losses.sum() + penalties.sum()
        received = _differentiated(total, list(values.values()), measurement)
        _store(received[: len(values)], self._gradients.stacked)
        if measurement is not None:
            measurement.gradients(self._gradients, received[len(values) :])
        kept = None if penalties is None else penalties.detach()
        return StackedPass(losses.detach(), kept, outputs.detach(), targets)

    def outputs(self, inputs: Tensor) -> None:
        return None


def _differentiated(
    total: Tensor, parameters: Sequence[Tensor], measurement: Measurement | None
) -> Sequence[Tensor | None]:
    """The gradients of the parameters, then of what the measurement has recorded; None where none flows."""
    edges: list[Any] = [] if measurement is None else measurement.recorded()
    received: Sequence[Tensor | None] = torch.autograd.grad(total, [*parameters, *edges], allow_unused=True)
    return received


@torch.no_grad()
def _store(gradients: Sequence[Tensor | None], places: Sequence[Tensor]) -> None:
    """Keep gradients in their places, 0 for those that do not exist."""
    pairs = [(place, one) for place, one in zip(places, gradients, strict=True) if one is not None]
    if pairs:
        torch._foreach_copy_([place for place, _ in pairs], [one for _, one in pairs])
    for place, gradient in zip(places, gradients, strict=True):
        if gradient is None:
            place.zero_()


class _Penalized(nn.Module):
    """A network's outputs, and the penalties that add up to its own, `(kinds,)`."""

    def __init__(
        self, network: AnyNetwork, matrices: Sequence[WeightMatrix], kinds: Sequence[Regularization]
    ) -> None:
        super().__init__()
        self.network, self._matrices, self._kinds = network, matrices, kinds

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        outputs = self.network(x)
        values = [kind.penalty(matrix.weight for matrix in self._matrices) for kind in self._kinds]
        terms = [term for term in values if term is not None]
        return outputs, torch.stack(terms) if terms else outputs.new_zeros(0)


def _quiet() -> None:
    """No warning where `vmap` knows no rule and goes through the runs one by one, as in weight norm."""
    _functorch._set_vmap_fallback_warning_enabled(False)  # type: ignore[attr-defined]
