"""Modules in a row whose steps can be watched."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

Observer = Callable[[nn.Module, Tensor, Tensor], None]


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
                observer(module, x, output)
            x = output
        return x
