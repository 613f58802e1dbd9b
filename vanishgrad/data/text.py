"""Text as symbol numbers."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vanishgrad.choices.data import Text
from vanishgrad.choices.data.corpus import vocabulary
from vanishgrad.data.dataset import Dataset
from vanishgrad.errors import SettingError


def read_text(data: Text) -> Dataset:
    """Symbols `(n,)` and, as targets, the symbol that follows each, `(n,)`, in the order of the text."""
    train, held_out = (encode(part, vocabulary(data.path)) for part in data.parts)
    return Dataset(train[:-1], train[1:], held_out[:-1], held_out[1:])


def encode(text: str, symbols: str) -> Tensor:
    """The position in `symbols`, sorted, of each character of `text`: `(len(text),)`, int64.

    Raises:
        SettingError: naming the first character that is not among them.
    """
    characters, known = _code_points(text), _code_points(symbols)
    found = np.searchsorted(known, characters).clip(max=len(known) - 1)
    strange = known[found] != characters
    if strange.any():
        raise SettingError(
            f"{text[strange.argmax()]!r}: is not among the {len(symbols)} characters that were learned"
        )
    return torch.from_numpy(found)


def decode(numbers: Tensor, symbols: str) -> str:
    """The text whose characters have the positions `numbers`, `(n,)`, in `symbols`."""
    return "".join(symbols[number] for number in numbers.tolist())


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
