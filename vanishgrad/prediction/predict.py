"""From a run to the prediction of mean-field theory."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

from vanishgrad.choices.activation import Identity, LeakyReLU, PReLU, ReLU
from vanishgrad.choices.data.dataset import Dataset
from vanishgrad.choices.initialization import LSUV, Orthogonal
from vanishgrad.choices.model import CNN, MLP, RNN
from vanishgrad.choices.normalization import NoNorm, WeightNorm
from vanishgrad.choices.pretraining import NoPretraining
from vanishgrad.choices.regularization import Dropout, NoReg
from vanishgrad.errors import instance_of
from vanishgrad.prediction.convolution import convolutional_layers
from vanishgrad.prediction.fixed_point import fixed_point
from vanishgrad.prediction.inputs import Inputs, inputs_of
from vanishgrad.prediction.passing import function_of, noise_of, passing_of
from vanishgrad.prediction.perceptron import HiddenMoments, hidden_layers
from vanishgrad.prediction.prediction import Prediction
from vanishgrad.prediction.recurrence import recurrent
from vanishgrad.run import Run
from vanishgrad.theory.jacobian import spectrum
from vanishgrad.theory.mean_field import layer_variance, scatter, slope_ratio
from vanishgrad.theory.stack import LayerMoments

FLOAT32_LENGTH = 1e76  # variance at which pre-activations leave float32
FLOAT32_GRADIENT = -38.0  # decades below which float32 gradients become 0
OUT_OF_REACH = "inputs taken to have the length 1, since the data are out of reach: {}"
BEYOND = "numbers of this setting are beyond the range of float64: {}"
LEARNED = "pretrain={}: learned weights are not random; not covered by the theory"
GATED = "model={}: gates multiply states, whose distribution is not Gaussian; not covered by the theory"
Figures = dict[str, Any]


def predict(run: Run, data: Dataset | None = None) -> Prediction:
    """What mean-field theory says of `run`'s initial network, in the limit of wide layers.

    It raises for no valid run: what is not covered is None, with a note.

    Arguments:
        run: the setting.
        data: its data, if they are loaded already.
    """
    instance_of("predict", run, Run, "a Run, such as Run(depth=20, act='sigmoid')")
    try:
        inputs = inputs_of(run.data, data)
    except Exception as error:  # a missing file or network is no reason to know nothing
        found = _predicted(_essential(run), Inputs(1.0, 0.0, 10_000, (), (1.0,)))
        return replace(found, notes=(OUT_OF_REACH.format(error), *found.notes))
    return _predicted(_essential(run), inputs)


def _essential(run: Run) -> Run:
    """The run without what the initial network does not depend on, so that a sweep is predicted once."""
    return Run(
        depth=run.depth, width=run.width, batch_size=run.batch_size, dtype=run.dtype, model=run.model,
        act=run.act, init=run.init, norm=run.norm, residual=run.residual, pretrain=run.pretrain,
        reg=run.reg if isinstance(run.reg, Dropout) else NoReg(), data=run.data,
    )  # fmt: skip


@lru_cache(maxsize=256)
def _predicted(run: Run, inputs: Inputs) -> Prediction:
    try:
        return _without_nan(_of_family(run, inputs))
    except (ArithmeticError, ValueError) as error:  # weights of 1e200, slopes of 1e100
        return Prediction(notes=(BEYOND.format(error),))


def _of_family(run: Run, inputs: Inputs) -> Prediction:
    if not isinstance(run.pretrain, NoPretraining):
        return Prediction(notes=(LEARNED.format(run.pretrain.name),))
    match run.model:
        case MLP() | CNN():
            return _feedforward(run, inputs)
        case RNN():
            return recurrent(run, inputs)
        case gated:
            return Prediction(notes=(GATED.format(gated.name),))


def _without_nan(found: Prediction) -> Prediction:
    """None in place of what is not a number, with a note."""
    lost = [name for name, value in vars(found).items() if _is_nan(value)]
    notes = (*found.notes, BEYOND.format(", ".join(lost)))
    return replace(found, **dict.fromkeys(lost), notes=notes) if lost else found


def _is_nan(value: object) -> bool:
    values = value if isinstance(value, tuple) else (value,)
    return any(isinstance(each, float) and math.isnan(each) for each in values)


def _feedforward(run: Run, inputs: Inputs) -> Prediction:
    if run.depth == 0:
        return Prediction(profile=(), lengths=(), notes=("depth=0: there is no hidden layer",))
    batch = inputs.examples if isinstance(run.batch_size, str) else run.batch_size
    passing = passing_of(run, batch)
    is_cnn = isinstance(run.model, CNN)
    hidden = convolutional_layers(run, inputs) if is_cnn else hidden_layers(run, inputs, passing)
    figures: Figures = _profile(run, hidden)
    notes = list(hidden.notes)
    if hidden.first is not None and not isinstance(passing, str):
        more, said = fixed_point(run, hidden.first, passing)
        figures, notes = figures | more, notes + said
    return Prediction(**figures, notes=tuple(dict.fromkeys([*notes, *_limits(hidden)])))


def _profile(run: Run, hidden: HiddenMoments) -> Figures:
    """The profile relative to the last hidden layer, and what follows from a plain network's layers."""
    found: Figures = {"lengths": None if hidden.lengths is None else tuple(hidden.lengths)}
    if hidden.logs is None:
        return found
    last = hidden.logs[-1]
    if math.isinf(last):
        return (
            found | {"profile": tuple(0.0 if log == 0 else None for log in hidden.logs)}
            if run.blocks
            else found
        )
    decades = tuple(None if math.isinf(log) else (log - last) / 2 / math.log(10) for log in hidden.logs)
    return found | {"profile": decades, "log10_gradient_ratio": decades[0]} | _spread(run, hidden.layers)


def _spread(run: Run, layers: list[LayerMoments]) -> Figures:
    """Scatter over the weights and the spectrum of dz_depth/dz_1, of plain networks without normalization."""
    if len(layers) < 2 or not isinstance(run.norm, NoNorm | WeightNorm) or noise_of(run) > 1:
        return {}
    f, orthogonal = function_of(run.act), isinstance(run.init, Orthogonal | LSUV)
    ratios = [slope_ratio(f, layer.z.square) for layer in layers[:-1]]
    chis = [below.passage.gain * above.variance_w for below, above in pairwise(layers)]
    singular = spectrum(zip(chis, ratios, strict=True), orthogonal)
    found: Figures = {
        "jacobian_log10_mean": singular.log_mean / math.log(10),
        "jacobian_variance": singular.relative_variance,
    }
    if isinstance(run.act, ReLU | LeakyReLU | PReLU | Identity):
        around = scatter(layer_variance(ratio, run.width, orthogonal) for ratio in ratios)
        found |= {"scatter_shift": around.shift, "scatter": around.deviation}
    return found


def _limits(hidden: HiddenMoments) -> list[str]:
    """What float32 makes of numbers that theory has no limit for."""
    notes = []
    beyond = [number for number, q in enumerate(hidden.lengths or [], 1) if q > FLOAT32_LENGTH]
    if beyond:
        notes.append(
            f"from layer {beyond[0]} on pre-activations leave the range of float32: training diverges at once"
        )
    logs = [log for log in hidden.logs or [] if not math.isinf(log)]
    if logs and (min(logs) - max(logs)) / 2 / math.log(10) < FLOAT32_GRADIENT:
        notes.append("part of the profile is beyond the range of float32, and is measured as 0 or not finite")
    return notes
