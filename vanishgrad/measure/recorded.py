"""What a pass leaves behind of a layer: its linear output, the gradient of that, its activation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from vanishgrad.modules.norms import norms


@dataclass
class Activated:
    """One use of an activation: its module, output and, where the slope needs it, input, `(batch, ...)`."""

    module: nn.Module
    outputs: Tensor
    inputs: Tensor | None = None


@dataclass
class Awaited:
    """A tensor of the pass that waits for its gradient.

    Only its place in the graph is kept, `edge`, so that the values can be freed; None where there is no
    graph, or nobody needs to ask. `gradient` is set once it is known, or only its L2 norm, `length`. In a
    stack of runs it has all of theirs along `axis`; None for a run alone.
    """

    edge: GradientEdge | None
    gradient: Tensor | None = None
    length: Tensor | None = None
    axis: int | None = None

    def receive(self, gradient: Tensor | None) -> None:
        """Take the gradient."""
        self.gradient = gradient

    def measure(self, gradient: Tensor) -> None:
        """Take the norm of the gradient, and let go of the gradient."""
        self.length = norms([gradient])[0]


@dataclass(frozen=True)
class Part:
    """One of `count` equal parts of a tensor along `axis`, which does not count the runs' axis."""

    axis: int
    index: int
    count: int

    def of(self, tensor: Tensor, stacked: bool) -> Tensor:
        """The part of `(batch, ...)`, or of a stack's `(runs, batch, ...)`."""
        axis = self.axis + 1 if stacked and self.axis >= 0 else self.axis
        return tensor.chunk(self.count, axis)[self.index]


@dataclass
class Recorded:
    """A linear output z, or an effective weight: what awaits its gradient for the matrix number `matrix`.

    `part` says which part of the tensor is the matrix's own; `activated` is the activation that z enters
    next, or its statistics, `(4, 1, 1)`, when they have been taken already.
    """

    matrix: int
    awaited: Awaited
    part: Part | None = None
    activated: Activated | Tensor | None = None

    @property
    def gradient(self) -> Tensor | None:
        """dLoss/dz, once it is known: `(batch, ...)`, of a stack `(runs, batch, ...)`."""
        whole, axis = self.awaited.gradient, self.awaited.axis
        if whole is None:
            return None
        whole = whole if axis is None else whole.movedim(axis, 0)
        return whole if self.part is None else self.part.of(whole, axis is not None)
