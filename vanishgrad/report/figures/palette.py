"""Which colour and which panel a setting has, the same in every figure of a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from math import ceil

# Okabe and Ito (2008) without yellow, which is illegible on white, and with grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#808080")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MOST_LINES = 8
MOST_PANELS = 3


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
    """The palette of the settings `labels`, which may repeat."""
    unique = tuple(dict.fromkeys(labels))
    panels = _fold(unique) if len(unique) <= MOST_LINES * MOST_PANELS else ()
    place = dict.fromkeys(unique, 0)
    place |= {label: position for panel in panels for position, label in enumerate(panel)}
    return Palette(
        unique,
        panels,
        {label: COLOURS[place[label] % len(COLOURS)] for label in unique},
        {label: MARKERS[place[label] % len(MARKERS)] for label in unique},
    )


def _fold(labels: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """One panel, else one per value of the first key that varied, else panels of even size."""
    if len(labels) <= MOST_LINES:
        return (labels,)
    by_first = tuple(tuple(group) for _, group in groupby(labels, key=lambda label: label.split(" ")[0]))
    if len(by_first) <= MOST_PANELS and max(map(len, by_first)) <= MOST_LINES:
        return by_first
    size = ceil(len(labels) / ceil(len(labels) / MOST_LINES))
    return tuple(labels[start : start + size] for start in range(0, len(labels), size))
