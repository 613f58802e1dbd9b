"""Text, character by character."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vanishgrad.choices.data.baseline import Baseline
from vanishgrad.choices.data.corpus import corpus, unigram_entropy, vocabulary
from vanishgrad.errors import at_least, require


@dataclass(frozen=True)
class Text:
    """The next character of a text, at every character (character language model; Graves 2013).

    The text runs on from batch to batch: each of `batch_size` places in it is read `length` characters a
    step, and the state at the end of one step is the next one's start (truncated back-propagation through
    time). The last part of the text is held out.

    Arguments:
        path: a UTF-8 file; null takes the help texts of the language that every CPython carries.
        length: characters that gradients flow back through.
        train_size: characters trained on, from the beginning; null takes 90 %. The rest is held out.
    """

    path: str | None = None
    length: int = 64
    train_size: int | None = None
    name: ClassVar[str] = "text"
    default_loss: ClassVar[str] = "cross_entropy"

    def __post_init__(self) -> None:
        require(self.path != "", "data.path=: must be a UTF-8 file, or null for the text CPython carries")
        at_least("data.length", self.length, 1)
        if self.train_size is not None:
            at_least("data.train_size", self.train_size, 1)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def symbols(self) -> int:
        """Different characters in the text, which is read for this."""
        return len(vocabulary(self.path))

    @property
    def outputs(self) -> int:
        return self.symbols

    @property
    def parts(self) -> tuple[str, str]:
        """The text trained on and the text held out, which is read for this.

        Each character but the first is predicted in one of them: the last one that is predicted in training
        is where the held-out text starts.

        Raises:
            SettingError: when one of them has nothing to predict.
        """
        text = corpus(self.path)
        size = len(text) * 9 // 10 if self.train_size is None else self.train_size
        require(
            1 <= size <= len(text) - 2,
            f"data.train_size={'null' if self.train_size is None else size}: must be from 1 to "
            f"{len(text) - 2}; the text has {len(text)} characters, at least 2 of which are held out",
        )
        return text[: size + 1], text[size:]

    @property
    def baseline(self) -> Baseline:
        """The best answer that does not look at the characters before; the text is read for this."""
        train, held_out = self.parts
        lost = unigram_entropy(train, held_out[1:], self.symbols)
        return Baseline("val_loss", lost, "unigram frequencies")
