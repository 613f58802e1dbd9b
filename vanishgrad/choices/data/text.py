"""A text as it is read, and what its characters are worth one by one."""

from __future__ import annotations

import math
import os
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.choices.protocol import Data
from vanishgrad.errors import SettingError, at_least, require
from vanishgrad.records import Baseline

MOST_BYTES = 100_000_000  # enwik8, the largest text that character models are usually compared on


@lru_cache(maxsize=4)
def corpus(path: str | None) -> str:
    """The whole text, line ends as \\n, without a byte order mark; the language's help texts for None.

    Raises:
        SettingError: when the file cannot be read, is not UTF-8, too large, or no text to learn from.
    """
    text = _help_texts() if path is None else _decoded(path)
    require(
        len(text) >= 3 and len(set(text)) >= 2,
        f"data.path={path}: has {len(text)} characters, {len(set(text))} different ones; "
        "must have at least 3, and 2 different ones",
    )
    return text


@lru_cache(maxsize=4)
def vocabulary(path: str | None) -> str:
    """The different characters of the text, in code point order; symbol numbers are positions in it."""
    return "".join(sorted(set(corpus(path))))


def unigram_entropy(train: str, held_out: str, symbols: int) -> float:
    """Cross-entropy of `held_out` under the character frequencies of `train`, in nats per character.

    Arguments:
        train: where frequencies are counted, each plus one, so that no character is impossible.
        held_out: what is predicted.
        symbols: different characters there are.
    """
    seen, total = Counter(train), len(train) + symbols
    lost = sum(
        count * math.log(total / (seen[character] + 1)) for character, count in Counter(held_out).items()
    )
    return lost / len(held_out)


def _help_texts() -> str:
    topics: dict[str, str] = import_module("pydoc_data.topics").topics
    return "\n".join(topics[name] for name in sorted(topics))


def _decoded(path: str) -> str:
    try:
        text = _content(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise SettingError(f"data.path={path}: not UTF-8: {error.reason} at byte {error.start}") from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _content(path: str) -> bytes:
    file = Path(os.path.expanduser(path))
    # Path.is_file raises for a name that is too long or not allowed.
    require(os.path.isfile(file) or os.path.isdir(file), f"data.path={path}: there is no such file")
    require(not os.path.isdir(file), f"data.path={path}: is no file of text; must be a UTF-8 file")
    try:
        size = file.stat().st_size
        require(size <= MOST_BYTES, f"data.path={path}: has {size} bytes, must have at most {MOST_BYTES}")
        return file.read_bytes()
    except OSError as error:
        raise SettingError(f"data.path={path}: not readable: {error.strerror}") from None


@dataclass(frozen=True)
class Text(Data):
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
    of_symbols: ClassVar[bool] = True
    every_step: ClassVar[bool] = True
    running_text: ClassVar[bool] = True
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

    def remembered(self) -> dict[str, Any]:
        return {"vocabulary": vocabulary(self.path)}

    def load(self) -> Dataset:
        return read_text(self)


def read_text(data: Text) -> Dataset:
    """Symbols `(n,)` and, as targets, the symbol that follows each, `(n,)`, in the order of the text."""
    train, held_out = (encode(part, vocabulary(data.path)) for part in data.parts)
    return Dataset(train[:-1], train[1:], held_out[:-1], held_out[1:])


def encode(text: str, symbols: str) -> Tensor:
    """The position in `symbols`, sorted, of each character of `text`: `(len(text),)`, int64.

    Raises:
        SettingError: naming the first character that is not among them.
    """
    characters, alphabet = _code_points(text), _code_points(symbols)
    numbers = np.searchsorted(alphabet, characters).clip(max=len(alphabet) - 1)
    strange = alphabet[numbers] != characters
    if strange.any():
        raise SettingError(
            f"{text[strange.argmax()]!r}: is not among the {len(symbols)} characters that were learned"
        )
    return torch.from_numpy(numbers)


def decode(numbers: Tensor, symbols: str) -> str:
    """The text whose characters have the positions `numbers`, `(n,)`, in `symbols`."""
    return "".join(symbols[number] for number in numbers.tolist())


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
