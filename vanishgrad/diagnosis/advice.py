"""What helps against what was found, the most promising first: names in `vanishgrad.remedies`, with reasons.

An empty reason is the remedy's own. In a setting of `vanishgrad train` those are advised that run.json lists
under `fitting`, for which the run itself was asked; in somebody else's model those with words for PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from vanishgrad.diagnosis.finding import Advice
from vanishgrad.diagnosis.record import RecordedSetting
from vanishgrad.remedies import TABLE, Change, filled, parsed, typed_text

Ladder: TypeAlias = Mapping[str, str]
MOST = 4  # more are no advice

ACTIVE = "its slope is 1 where it is active, and these weights keep the signal's size"
SIZE_FREE = "the weights' size no longer matters to the signal's"
LENGTH_KEPT = "an orthogonal matrix keeps the gradient's length from time step to time step"
ENLARGED = "the initial weights enlarge the signal in every layer"

VANISHING: Ladder = {
    "batchnorm": "",
    "relu_he": f"{ACTIVE} from layer to layer",
    "he": "", "critical": "", "residual": "", "rezero": "", "layernorm": "", "pretraining": "", "adam": "",
}  # fmt: skip
VANISHING_IN_TIME: Ladder = {
    "lstm": "", "gru": "", "orthogonal": LENGTH_KEPT, "chrono": "",
    "layernorm": "it keeps the activations inside the cell where they have a slope",
}  # fmt: skip
EXPLODING: Ladder = {
    "smaller_he": ENLARGED, "smaller_xavier": ENLARGED, "batchnorm": SIZE_FREE, "clipping": "",
    "rezero": "every block starts as the identity, so that nothing is enlarged at first",
    "small_rate": "", "layernorm": SIZE_FREE,
}  # fmt: skip
EXPLODING_IN_TIME: Ladder = {
    "clipping": f"{TABLE['clipping'].reason} (Pascanu et al. 2013)", "orthogonal": LENGTH_KEPT,
    "lstm": "its gates bound what is handed on from step to step",
    "small_rate": "smaller steps keep the recurrent matrix from growing",
}  # fmt: skip
DIVERGED: Ladder = {
    "smaller_he": f"{ENLARGED}, until it overflows", "smaller_xavier": f"{ENLARGED}, until it overflows",
    "small_rate": "the steps overshoot, each further than the one before",
    "clipping": "", "batchnorm": SIZE_FREE, "layernorm": SIZE_FREE,
}  # fmt: skip
UNREACHED = "the initial biases or weights push units to where they are never active"
DEAD_UNITS: Ladder = {
    "leaky_relu": "", "smaller_he": UNREACHED, "smaller_xavier": UNREACHED,
    "small_rate": "a large step can push a unit to where no example reaches it",
    "batchnorm": "it centres every unit's input, so that about half of the examples reach it", "elu": "",
}  # fmt: skip
STEEP = "smaller weights keep the activation where it is steep"
SATURATED: Ladder = {
    "smaller_he": STEEP, "smaller_xavier": STEEP,
    "batchnorm": "it rescales every unit's input to where the activation is steep",
    "xavier": "", "relu": "", "small_rate": "large steps push units into the flat ends",
    "layernorm": "it rescales the inputs to where the activation is steep",
}  # fmt: skip
STALLED: Ladder = {
    "batchnorm": "it rescales every layer's signal, so that the first layers get their share",
    "adam": "",
    "relu_he": ACTIVE,
    "he": "these weights keep the signal's size from layer to layer",
    "residual": "the gradient reaches the first layers through the shortcuts",
    "pretraining": "each layer is trained on its own first",
}  # fmt: skip
OSCILLATING: Ladder = {
    "small_rate": "the steps are longer than the valley is wide",
    "clipping": "no step is larger than the threshold", "large_batch": "",
    "batchnorm": "it makes the loss smoother, which allows a larger rate",
}  # fmt: skip
NOT_LEARNING: Ladder = {
    "own_start": "", "no_penalty": "", "no_clipping": "", "large_rate": "",
    "adam": "its steps do not depend on the size of the gradient",
    "small_rate": "the steps may be too large to settle",
}  # fmt: skip


def advised(ladder: Ladder, setting: RecordedSetting) -> tuple[Advice, ...]:
    """The remedies of a ladder that fit the setting, with their reasons, the most promising first."""
    written = [(_text(TABLE[name], setting), reason or TABLE[name].reason) for name, reason in ladder.items()]
    first = {text: reason for text, reason in reversed(written) if text}  # of equal ones the first reason
    return tuple(Advice(text, reason) for text, reason in reversed(first.items()))[:MOST]


def _text(remedy: Change, setting: RecordedSetting) -> str:
    """What to type, or to write in PyTorch; empty where the remedy is no advice."""
    if setting.fitting is None:
        return remedy.torch
    if remedy.name not in setting.fitting:
        return ""
    try:
        changes = filled(parsed(remedy.typed), setting.value)
    except KeyError:
        return ""
    return " ".join(f"{key}={_number(value)}" for key, value in changes.items())


def _number(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else typed_text(value)
