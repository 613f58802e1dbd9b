"""Evaluation on a running text."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from vanishgrad.choices.model.recurrent import Recurrent, State
from vanishgrad.choices.protocol import Loss
from vanishgrad.engine.evaluate import Score, pooled_score, score
from vanishgrad.engine.plan import pieces
from vanishgrad.errors import at_least, require
from vanishgrad.modules.dropout import evaluation_mode

PLACES = 32  # of a held-out text that are read side by side


def evaluate_text(model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor, length: int) -> Score:
    """(mean loss per character, fraction of characters foretold) over a text, the state carried on.

    Arguments:
        model: a recurrent network that answers at every time step.
        loss: of its outputs.
        inputs, targets: symbol numbers, `(characters,)`; what does not fill a piece at the end is left out.
        length: characters per forward pass; a shorter text is read in one.
    """
    length = min(length, len(inputs))
    places = min(PLACES, len(inputs) // length)
    carried, parts = Carried(), []
    with evaluation_mode(model):
        for batch in pieces(inputs, targets, places, length):
            carried.enter(batch.first)
            outputs = carried(model, batch.inputs)
            parts.append((batch.targets.numel(), score(outputs, batch.targets, loss)))
    return pooled_score(parts)


def per_character(val_loss: float) -> dict[str, float]:
    """The two usual forms of a mean cross-entropy in nats."""
    return {
        "bits_per_character": val_loss / math.log(2),
        "perplexity": math.exp(val_loss) if val_loss < 700 else math.inf,
    }


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


def generate(
    model: Recurrent,
    vocabulary: str,
    prompt: str,
    length: int,
    temperature: float,
    generator: torch.Generator,
) -> str:
    """The text that `characters` writes."""
    return "".join(characters(model, vocabulary, prompt, length, temperature, generator))


def characters(
    model: Recurrent, vocabulary: str, prompt: str, length: int, temperature: float,
    generator: torch.Generator,
) -> Iterator[str]:  # fmt: skip
    """`length` characters that follow `prompt`, each drawn from softmax(logits / temperature) when it is due.

    Arguments:
        model: answers with logits over the vocabulary at every time step; used in evaluation mode.
        vocabulary: the characters by symbol number.
        prompt: what the model reads first; when empty it reads a line end, or the first character of a
            vocabulary without one.
        length: characters to write.
        temperature: 1 draws from the model's own distribution, less favours the likely, 0 takes it.
        generator: a CPU generator that the characters are drawn with.

    Raises:
        SettingError: when a value makes no sense, the prompt has characters that the model does not know, or
            the model's outputs are not finite.
    """
    at_least("length", length, 0)
    at_least("temperature", temperature, 0)
    symbols = _symbols(prompt or ("\n" if "\n" in vocabulary else vocabulary[0]), vocabulary)
    return (vocabulary[symbol] for symbol in _written(model, symbols, length, temperature, generator))


def _symbols(prompt: str, vocabulary: str) -> list[int]:
    unknown = sorted(set(prompt) - set(vocabulary))
    require(
        not unknown,
        f"prompt={prompt!r}: the model has never seen {' '.join(map(repr, unknown))}; "
        f"it knows these {len(vocabulary)} characters: {vocabulary!r}",
    )
    return [vocabulary.index(character) for character in prompt]


def _written(
    model: Recurrent, symbols: list[int], length: int, temperature: float, generator: torch.Generator
) -> Iterator[int]:
    device = next(model.parameters()).device
    state: State | None = None
    for _ in range(length):
        with evaluation_mode(model):  # and not while somebody else does something with a character
            outputs, state = model.unroll(torch.tensor([symbols], device=device), state)
        symbols = [_drawn(outputs[0, -1].double().cpu(), temperature, generator)]
        yield symbols[0]


def _drawn(logits: Tensor, temperature: float, generator: torch.Generator) -> int:
    """A symbol number from logits `(symbols,)`."""
    require(
        bool(logits.isfinite().all()), "the model's outputs are not finite: it diverged, and writes nothing"
    )
    if temperature == 0:
        return int(logits.argmax())
    # less the largest, so that a temperature near 0 cannot overflow
    chances = ((logits - logits.max()) / temperature).softmax(0)
    return int(torch.multinomial(chances, 1, generator=generator))
