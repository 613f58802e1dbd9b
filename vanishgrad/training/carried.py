"""The state that a recurrent network carries through a running text (truncated back-propagation)."""

from __future__ import annotations

from torch import Tensor, nn

from vanishgrad.models.recurrent import Recurrent, State


class Carried:
    """Unrolls a network from the state in which the batch before left it; no gradient flows back into that.

    A pass may be repeated: it enters with the same state until `advance` or `reset`.
    """

    def __init__(self) -> None:
        self.entering: State | None = None
        self._leaving: State | None = None

    def __call__(self, model: nn.Module, inputs: Tensor) -> Tensor:
        """The outputs for the next piece of text, `(batch, time, outputs)`."""
        assert isinstance(model, Recurrent)
        outputs, self._leaving = model.unroll(inputs, self.entering)
        return outputs

    def advance(self) -> None:
        """Go on from where the last pass ended."""
        assert self._leaving is not None
        self.entering = [tuple(part.detach() for part in layer) for layer in self._leaving]

    def reset(self) -> None:
        """Begin a text anew, without a memory."""
        self.entering = None
