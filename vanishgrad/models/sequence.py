"""Modules in a row whose steps can be watched."""

from __future__ import annotations

from torch import Tensor, nn

from vanishgrad.models.observer import Observer


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
