"""A text as it is read, and what its characters are worth one by one."""

from __future__ import annotations

import math
import os
from collections import Counter
from functools import lru_cache
from importlib import import_module
from pathlib import Path

from vanishgrad.errors import SettingError, require

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
