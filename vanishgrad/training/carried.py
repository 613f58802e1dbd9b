"""The state that a recurrent network carries through a running text (truncated back-propagation)."""

from __future__ import annotations

from torch import Tensor, nn

from vanishgrad.models.recurrent import Recurrent, State


class Carried:
    """Unrolls a network from the state in which the batch before left it; no gradient flows back into that.

    A pass may be repeated: it begins with the same state until the next `enter`.
    """

    def __init__(self) -> None:
        self._entering: State | None = None
        self._leaving: State | None = None

    def enter(self, first: bool) -> None:
        """Go on from where the last pass ended, or with `first` begin a text anew, without a memory."""
        self._entering = None if first else self.leaving

    @property
    def leaving(self) -> State | None:
        """The state after the last pass, cut off from its graph; None before any."""
        if self._leaving is None:
            return None
        return [tuple(part.detach() for part in layer) for layer in self._leaving]

    def restore(self, leaving: State | None) -> None:
        """Go on from the state that another process had after its last pass."""
        self._leaving = leaving

    def __call__(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """The outputs for the next piece of text, `(batch, time, outputs)`."""
        assert isinstance(model, Recurrent)
        outputs, self._leaving = model.unroll(inputs, self._entering)
        return outputs
