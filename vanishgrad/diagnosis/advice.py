"""Treatments: what to type for a setting of ours, and what it is called in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TypeAlias

from vanishgrad.diagnosis.finding import Advice
from vanishgrad.diagnosis.record import BOUNDED, PLAIN, RECURRENT, RecordedSetting

Typed: TypeAlias = Callable[[RecordedSetting], str | None]
LARGE_STARTS = ("normal", "gaussian", "zeros")  # whose size is the user's
HALF_LINEAR = ("relu", "leaky_relu", "prelu", "elu", "gelu", "silu", "mish")


@dataclass(frozen=True)
class Treatment:
    """Something to change.

    Arguments:
        typed: the overrides for a setting of ours; None where it has no place, or is there already.
        torch: the same for a foreign model.
    """

    typed: Typed
    torch: str


Ladder: TypeAlias = Sequence[tuple[Treatment, str]]
MOST = 4  # more are no advice


def advised(ladder: Ladder, setting: RecordedSetting) -> tuple[Advice, ...]:
    """The treatments of a ladder that fit the setting, with their reasons, the most promising first."""
    found = [(_written(treatment, setting), reason) for treatment, reason in ladder]
    first = {text: reason for text, reason in reversed(found) if text}  # of equal ones the first reason
    return tuple(Advice(text, reason) for text, reason in reversed(first.items()))[:MOST]


def _written(treatment: Treatment, setting: RecordedSetting) -> str | None:
    return treatment.typed(setting) if setting.ours else treatment.torch


def when(override: str, fits: Callable[[RecordedSetting], bool]) -> Typed:
    """`override` where it fits."""
    return lambda setting: override if fits(setting) else None


def rate(multiple: float) -> Typed:
    """The learning rate times a factor."""

    def typed(setting: RecordedSetting) -> str | None:
        lr = setting.number("lr")
        return f"lr={lr * multiple:.3g}" if isfinite(lr) and lr > 0 else None

    return typed


def _perceptron(setting: RecordedSetting) -> bool:
    return setting.perceptron


def _unnormalized(setting: RecordedSetting) -> bool:
    return setting.name("norm") == "none"


def _started(setting: RecordedSetting, *names: str) -> bool:
    return setting.name("init") in names


def _bare(setting: RecordedSetting) -> bool:
    return _perceptron(setting) and setting.name("residual") == "none" and setting.number("depth") >= 3


def _relu_he(setting: RecordedSetting) -> str | None:
    bounded = setting.name("act") in (*BOUNDED, "softplus")
    return "act=relu init=he" if bounded and setting.name("model") in PLAIN and _perceptron(setting) else None


RELU_HE = Treatment(_relu_he, "nn.ReLU in place of the bounded activation, with nn.init.kaiming_normal_")
HE = Treatment(
    when("remedy=he", lambda s: s.name("model") in PLAIN and s.name("act") in HALF_LINEAR
         and not _started(s, "he", "lsuv", "critical")),
    "nn.init.kaiming_normal_ for the weights, zero biases",
)  # fmt: skip
CRITICAL = Treatment(
    when("remedy=critical", lambda s: s.name("model") in PLAIN
         and s.name("act") in ("tanh", "erf", "softsign")
         and not _started(s, "critical", "xavier", "orthogonal")),
    "nn.init.xavier_normal_ for the weights, zero biases",
)  # fmt: skip
XAVIER = Treatment(
    when("remedy=xavier", lambda s: s.name("model") in PLAIN and not _started(s, "xavier", "critical")),
    "nn.init.xavier_normal_ for the weights, zero biases",
)
SMALLER_START = Treatment(
    lambda s: (
        ("remedy=he" if s.name("act") in HALF_LINEAR else "remedy=xavier")
        if _started(s, *LARGE_STARTS, "orthogonal", "critical") and s.name("model") in PLAIN
        else None
    ),
    "smaller initial weights: nn.init.xavier_normal_, or kaiming_normal_ with ReLU",
)
OWN_START = Treatment(
    when("init=default", lambda s: _started(s, *LARGE_STARTS)), "the layers' own reset_parameters()"
)
BATCHNORM = Treatment(
    when(
        "remedy=batchnorm", lambda s: _perceptron(s) and _unnormalized(s) and s.plain.get("batch_size") != 1
    ),
    "nn.BatchNorm1d or 2d between every linear layer and its activation",
)
LAYERNORM = Treatment(
    when("remedy=layernorm", lambda s: _unnormalized(s) and s.number("width") > 1
         and (_perceptron(s) or s.name("model") in RECURRENT)),
    "nn.LayerNorm between every linear layer and its activation",
)  # fmt: skip
RESIDUAL = Treatment(
    when("remedy=residual", lambda s: _bare(s) and not (s.number("depth") > 50 and _unnormalized(s))),
    "shortcuts around every two layers: x + block(x)",
)
REZERO = Treatment(
    when("remedy=rezero", lambda s: _perceptron(s) and s.name("residual") in ("none", "identity")
         and s.number("depth") >= 3),
    "shortcuts with a learned factor that starts at 0: x + alpha * block(x)",
)  # fmt: skip
ADAM = Treatment(
    when("remedy=adam", lambda s: s.name("optim") in ("sgd", "adagrad")), "torch.optim.Adam in place of SGD"
)
PRETRAINING = Treatment(
    when("remedy=pretraining", lambda s: s.name("model") == "mlp" and s.name("pretrain") == "none"
         and _unnormalized(s) and s.name("residual") == "none" and s.number("depth") >= 1),
    "",
)  # fmt: skip
CLIPPING = Treatment(
    when("remedy=clipping", lambda s: s.name("clip") == "none"),
    "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0) before every step",
)
SMALL_RATE = Treatment(rate(0.1), "a tenth of the learning rate")
LARGE_RATE = Treatment(rate(10), "ten times the learning rate")
LARGE_BATCH = Treatment(
    lambda s: f"batch_size={4 * int(s.number('batch_size'))}" if s.number("batch_size") < 64 else None,
    "a larger batch",
)
LEAKY = Treatment(
    when("remedy=leaky_relu", lambda s: s.name("act") == "relu"), "nn.LeakyReLU(0.01) in place of nn.ReLU"
)
ELU = Treatment(when("remedy=elu", lambda s: s.name("act") == "relu"), "nn.ELU in place of nn.ReLU")
RELU = Treatment(
    when("remedy=relu", lambda s: s.name("act") in BOUNDED and s.name("model") in PLAIN and _perceptron(s)),
    "nn.ReLU in place of the bounded activation",
)
LSTM = Treatment(when("remedy=lstm", lambda s: s.name("model") == "rnn"), "nn.LSTM in place of nn.RNN")
GRU = Treatment(when("remedy=gru", lambda s: s.name("model") == "rnn"), "nn.GRU in place of nn.RNN")
ORTHOGONAL = Treatment(
    when("model.recurrent_init=orthogonal", lambda s: s.name("model") in RECURRENT
         and s.of("model", "recurrent_init") != "orthogonal"),
    "nn.init.orthogonal_ for the recurrent matrix",
)  # fmt: skip
CHRONO = Treatment(
    lambda s: (
        f"model.chrono={_length(s)}"
        if s.name("model") == "lstm" and s.of("model", "chrono") is None and _length(s) > 2
        else None
    ),
    "a forget bias of log(T) at the start",
)
NO_PENALTY = Treatment(
    when("reg=none", lambda s: s.name("reg") not in ("", "none")), "a weaker penalty or weight decay"
)
NO_CLIPPING = Treatment(when("clip=none", lambda s: s.name("clip") in ("norm", "value", "agc")), "")


def _length(setting: RecordedSetting) -> int:
    """Time steps of a sequence task; 0 where it is none."""
    length = setting.of("data", "length")
    return int(length) if isinstance(length, int | float) else 0
