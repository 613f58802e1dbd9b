"""What a network shows to whoever watches a forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn


@dataclass(frozen=True)
class Gate:
    """One gate, or the candidate, of a recurrent layer over time.

    Arguments:
        name: input, forget, output, reset, update or candidate; hidden in a layer without gates.
        matrices: the linear modules (or convolutions) that feed it.
        activation: its elementwise function.
        values: its outputs, one `(batch, width, ...)` per time step.
        inputs: what entered the activation, in the same form; None for a gate that is logistic.
    """

    name: str
    matrices: tuple[nn.Module, ...]
    activation: nn.Module
    values: list[Tensor]
    inputs: list[Tensor] | None = None


@dataclass(frozen=True)
class LinearOutput:
    """Linear outputs of several matrices side by side: equal parts along `axis`, one per matrix, in order.

    Arguments:
        matrices: the modules.
        outputs: tensors of the graph, one for all time steps or several; dLoss/dz is asked of them.
        axis: along which the matrices' parts lie.
    """

    matrices: tuple[nn.Module, ...]
    outputs: list[Tensor]
    axis: int


@dataclass(frozen=True)
class Unrolled:
    """One recurrent layer, unrolled over `T` time steps. All tensors are in the graph.

    Arguments:
        layer: its number, as in `layer_of`.
        hidden: h_1 ... h_T, each `(batch, width, ...)`: every later use of h_t reads this very tensor.
        cell: c_1 ... c_T in the same way; empty for a layer without cells.
        gates: what its gates and candidates gave.
        linear: the linear outputs; a matrix is in one or more of them.
        first: the time of `hidden[0]`, 1 but for a layer that takes over from another.
    """

    layer: int
    hidden: list[Tensor]
    cell: list[Tensor]
    gates: list[Gate]
    linear: list[LinearOutput]
    first: int = 1


class Observer(Protocol):
    """Sees what passes through a network. Its tensors are in the graph; it must not change them."""

    def module(self, module: nn.Module, inputs: Tensor, output: Tensor) -> None:
        """A module of a sequence was called."""
        ...

    def fork(self, block: nn.Module, direct: Tensor, into: Tensor) -> None:
        """A residual block split its stream into what goes around its branch and what goes into it."""
        ...

    def unrolled(self, layer: Unrolled) -> None:
        """A recurrent layer has done all its time steps."""
        ...


class Sequence(nn.Sequential):
    """`nn.Sequential` that shows every module's input and output to an observer, when it has one.

    A forward hook on each module would do the same, but sends every call through torch's slow path.
    """

    observer: Observer | None = None

    def forward(self, x: Tensor) -> Tensor:
        observer = self.observer
        for module in self:
            output = module(x)
            if observer is not None:
                observer.module(module, x, output)
            x = output
        return x

    def shown(self) -> set[nn.Module]:
        """The modules that an observer sees."""
        return set(self)
