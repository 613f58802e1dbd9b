"""Text from a character model."""

from __future__ import annotations

import torch
from torch import Tensor

from vanishgrad.data.text import decode
from vanishgrad.errors import at_least, require
from vanishgrad.models.evaluation_mode import evaluation_mode
from vanishgrad.models.recurrent import Recurrent, State


def generate(
    model: Recurrent,
    vocabulary: str,
    prompt: str,
    length: int,
    temperature: float,
    generator: torch.Generator,
) -> str:
    """`length` characters that follow `prompt`, each drawn from softmax(logits / temperature).

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
    with evaluation_mode(model):
        written = _written(model, symbols, length, temperature, generator)
    return decode(torch.tensor(written), vocabulary)


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
) -> list[int]:
    device = next(model.parameters()).device
    state: State | None = None
    written: list[int] = []
    for _ in range(length):
        outputs, state = model.unroll(torch.tensor([symbols], device=device), state)
        symbols = [_drawn(outputs[0, -1].double().cpu(), temperature, generator)]
        written += symbols
    return written


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
