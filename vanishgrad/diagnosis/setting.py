"""What a rule asks about the setting of a run: the plain data of run.json, or nothing for a foreign model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PLAIN = ("mlp", "cnn")
GATED = ("lstm", "gru")
RECURRENT = ("rnn", *GATED)
BOUNDED = ("sigmoid", "tanh", "softsign", "erf")  # flat on both sides


@dataclass(frozen=True)
class Setting:
    """A setting as run.json has it under `effective`.

    Arguments:
        plain: its data; empty where nothing is known.
    """

    plain: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        """Whether it is one of `vanishgrad train`, so that overrides can be typed."""
        return self.name("model") in (*PLAIN, *RECURRENT, "conv_lstm") and "optim" in self.plain

    def name(self, group: str) -> str:
        """The name of a choice; empty where it is not known."""
        choice = self.plain.get(group)
        return str(choice.get("name", "")) if isinstance(choice, Mapping) else ""

    def of(self, group: str, parameter: str) -> Any:
        """A parameter of a choice; None where it has none of that name."""
        choice = self.plain.get(group)
        return choice.get(parameter) if isinstance(choice, Mapping) else None

    def number(self, key: str) -> float:
        """A number of the setting; NaN where it is not known, or no number."""
        value = self.plain.get(key)
        known = isinstance(value, int | float) and not isinstance(value, bool)
        return float(value) if known and value is not None else float("nan")

    @property
    def perceptron(self) -> bool:
        """Whether normalization and shortcuts have a place: mlp or cnn, not pretrained."""
        return self.name("model") in PLAIN and self.name("pretrain") in ("", "none")
