"""The colour of a choice, the same in every chapter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from vanishgrad.report.figures import Palette, palette
from vanishgrad.report.figures.palette import COLOURS

BLUE, VERMILLION, GREEN, PINK, ORANGE, SKY, BLACK, GREY = COLOURS

OF_CHOICE: Mapping[str, str] = MappingProxyType({
    "none": GREY, "default": GREY,
    "sigmoid": VERMILLION, "tanh": GREEN, "relu": BLUE, "leaky_relu": SKY, "prelu": PINK, "elu": ORANGE,
    "selu": BLACK, "gelu": GREY, "identity": BLACK,
    "batch": BLUE, "batchnorm": BLUE, "layer": ORANGE, "layernorm": ORANGE, "group": GREEN, "rms": PINK,
    "softsign": PINK, "erf": ORANGE, "adagrad": VERMILLION, "small_rate": BLACK,
    "scaled": GREEN, "rezero": VERMILLION, "fixup": PINK, "residual": BLACK, "highway": SKY,
    "rnn": VERMILLION, "gru": GREEN, "lstm": BLUE,
    "rbm": BLUE, "autoencoder": GREEN, "denoising_autoencoder": ORANGE,
    "norm": BLUE, "value": ORANGE, "agc": GREEN, "clipping": PINK,
    "l1": VERMILLION, "l2": BLUE,
    "xavier": GREEN, "he": BLUE, "lecun": SKY, "orthogonal": PINK, "critical": ORANGE, "normal": VERMILLION,
})  # fmt: skip


def colours_of(labels: Iterable[str]) -> Palette:
    """The palette of settings, with the own colour of each choice where the settings differ in one choice.

    `labels` are like `act=relu depth=20`; where own colours would clash, all are given by position.
    """
    by_position = palette(labels)
    own = {
        label: colour
        for label in by_position.labels
        if (colour := _own(label, by_position.labels)) is not None
    }
    if len(own) < len(by_position.labels) or len(set(own.values())) < len(own):
        return by_position
    return replace(by_position, colours=own)


def _own(label: str, labels: tuple[str, ...]) -> str | None:
    """The colour of the first word of a label that tells it from others and has one."""
    for word in label.split():
        shared = all(word in other.split() for other in labels)
        colour = OF_CHOICE.get(word.partition("=")[2])
        if colour is not None and not (shared and len(labels) > 1):
            return colour
    return None


def coloured(colours: Mapping[str, str]) -> Palette:
    """The palette of these settings in these colours."""
    return replace(palette(list(colours)), colours=dict(colours))
