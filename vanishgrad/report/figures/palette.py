"""Which colour and which panel a setting has, the same in every figure of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import ceil

# Okabe and Ito (2008) without yellow, which is illegible on white, and with grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#808080")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MOST_LINES = 8
MOST_PANELS = 3
MOST_FACETS = 4  # one per value of a key


@dataclass(frozen=True)
class Palette:
    """Settings in their order, folded into panels of at most eight lines.

    No panels: there are too many settings for lines, show a heat map; all of them have one colour then.
    """

    labels: tuple[str, ...]
    panels: tuple[tuple[str, ...], ...]
    colours: Mapping[str, str]
    markers: Mapping[str, str]

    def only(self, labels: Iterable[str]) -> Palette:
        """The settings among `labels`, each with the colour and marker that it has."""
        kept = set(labels)
        rows = (tuple(label for label in row if label in kept) for row in self.panels)
        return replace(
            self,
            labels=tuple(label for label in self.labels if label in kept),
            panels=tuple(row for row in rows if row),
        )


def palette(labels: Iterable[str]) -> Palette:
    """The palette of the settings `labels`, which may repeat; figures that share it are coloured alike.

    Example:
        >>> colours = palette(["act=relu", "act=tanh", "act=relu"])
        >>> colours.labels, colours.colours["act=tanh"]
        (('act=relu', 'act=tanh'), '#D55E00')
    """
    unique = tuple(dict.fromkeys(labels))
    panels = _fold(unique) if len(unique) <= MOST_LINES * MOST_PANELS else ()
    place = dict.fromkeys(unique, 0) | _places(panels)
    return Palette(
        unique,
        panels,
        {label: COLOURS[place[label] % len(COLOURS)] for label in unique},
        {label: MARKERS[place[label] % len(MARKERS)] for label in unique},
    )


def _fold(labels: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """One panel, else one per value of a key that varied, the second if possible; else all of even size."""
    if len(labels) <= MOST_LINES:
        return (labels,)
    for key in _keys(labels):
        panels = _by(labels, key)
        rests = {_without(label, key) for label in labels}
        if len(panels) <= MOST_FACETS and len(rests) <= MOST_LINES:
            return panels
    size = ceil(len(labels) / ceil(len(labels) / MOST_LINES))
    return tuple(labels[start : start + size] for start in range(0, len(labels), size))


def _places(panels: tuple[tuple[str, ...], ...]) -> dict[str, int]:
    """Which colour each setting has; those that differ only in what makes the panels share theirs."""
    labels = tuple(label for panel in panels for label in panel)
    for key in _keys(labels):
        if len(panels) > 1 and _by(labels, key) == panels:
            rests = list(dict.fromkeys(_without(label, key) for label in labels))
            return {label: rests.index(_without(label, key)) for label in labels}
    return {label: position for panel in panels for position, label in enumerate(panel)}


def _keys(labels: tuple[str, ...]) -> list[str]:
    """The keys that all settings name and in which they differ: the second, the first, the others."""
    words = [dict(word.partition("=")[::2] for word in label.split(" ")) for label in labels]
    shared = [key for key in words[0] if all(key in each for each in words)] if words else []
    varied = [key for key in shared if len({each[key] for each in words}) > 1]
    return [*varied[1:2], *varied[:1], *varied[2:]]


def _by(labels: tuple[str, ...], key: str) -> tuple[tuple[str, ...], ...]:
    """The labels grouped by what they say of `key`, in the order of its values."""
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(_word(label, key), []).append(label)
    return tuple(map(tuple, groups.values()))


def _word(label: str, key: str) -> str:
    return next(word for word in label.split(" ") if word.partition("=")[0] == key)


def _without(label: str, key: str) -> str:
    return " ".join(word for word in label.split(" ") if word.partition("=")[0] != key)
