"""The gradient of a simple recurrent network through time."""

from __future__ import annotations

import math
from typing import Any

from vanishgrad.choices.initialization import Default, Orthogonal
from vanishgrad.choices.model import RNN
from vanishgrad.choices.normalization import LayerNorm
from vanishgrad.prediction.inputs import Inputs
from vanishgrad.prediction.passing import EPSILON, function_of
from vanishgrad.prediction.prediction import Prediction
from vanishgrad.prediction.weights import variances
from vanishgrad.run import Run
from vanishgrad.theory.correlation import depth_scale, phase
from vanishgrad.theory.mean_field import second_moment, slope_moment, state_length, time_factor

TIED = (
    "time: W_h is taken to be another one at every step, which holds for times short beside the width; the "
    "factor is that of the first layer, chi_1 and q_star too"
)
DEEP = "profile: what the layers of a stacked recurrent network hand down at every time step is not covered"
MIXED = "recurrent_init=identity: units are not mixed over time; not covered by the theory"


def recurrent(run: Run, inputs: Inputs) -> Prediction:
    """The first layer's states, driven by inputs of the data's mean length at every step."""
    assert isinstance(run.model, RNN)
    if run.model.recurrent_init == "identity":
        return Prediction(notes=(MIXED,))
    features = run.data.symbols or _features(run)
    found = _variances(run, features)
    if found is None:
        return Prediction(notes=(f"model=rnn with init={run.init.name}: not covered by the theory",))
    into, bias, variance_h = found
    figures = _figures(run, into * inputs.length, bias, variance_h)
    figures |= {"sigma_w": math.sqrt(variance_h), "sigma_b": math.sqrt(bias)}
    if run.depth == 1:
        return Prediction(profile=(0.0,), log10_gradient_ratio=0.0, **figures, notes=(TIED,))
    return Prediction(**figures, notes=(TIED, DEEP))


def _figures(run: Run, drive: float, bias: float, variance_h: float) -> dict[str, Any]:
    f, sigma_h = function_of(run.act), math.sqrt(variance_h)
    if isinstance(run.norm, LayerNorm):
        length = 1.0 + bias  # f reads LN(z) + b
        q = drive + variance_h * second_moment(f, length)
        factor = variance_h * slope_moment(f, length) / (q + EPSILON)
    else:
        q = state_length(f, sigma_h, drive + bias)
        factor = time_factor(f, sigma_h, drive + bias)
    scale = depth_scale(factor)
    return {"q_star": q, "chi_1": factor, "xi_grad": scale, "phase": phase(factor), "time_factor": factor}


def _variances(run: Run, features: int) -> tuple[float, float, float] | None:
    """Of what each input adds, of the biases, and sigma_h^2 of the recurrent weights."""
    assert isinstance(run.model, RNN)
    width = run.width
    if isinstance(run.init, Default):
        into, bias, over = features / (3 * width), 1 / (3 * width), 1 / 3
    else:
        first = variances(run.init, run.act, features, width)
        second = variances(run.init, run.act, width, width)
        if first is None or second is None:
            return None
        (into, bias), over = first, second[0]
    if run.model.recurrent_init == "orthogonal":
        over = variances(Orthogonal(), run.act, width, width)[0]  # type: ignore[index]
    return into, bias, over


def _features(run: Run) -> int:
    """Real inputs per time step; an image is read row by row."""
    shape = run.data.shape
    return shape[0] * shape[2] if len(shape) == 3 else shape[-1]
