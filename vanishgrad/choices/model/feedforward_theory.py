"""The gradient of every hidden layer of a feedforward network, and where ever deeper ones end up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch

from vanishgrad.choices.activation import function_of
from vanishgrad.choices.model.family import shapes
from vanishgrad.choices.normalization import EPSILON
from vanishgrad.choices.protocol import Setting
from vanishgrad.theory.convolution import KERNEL, Convolution, map_gradients, maps
from vanishgrad.theory.correlation import TRAINABLE, c_star, chi_c, depth_scale, phase, xi_q
from vanishgrad.theory.gaussian import Function, in_float64
from vanishgrad.theory.jacobian import spectrum
from vanishgrad.theory.mean_field import (
    LARGEST_LENGTH,
    TINY,
    first_moment,
    layer_variance,
    q_star,
    scatter,
    second_moment,
    slope_moment,
    slope_ratio,
)
from vanishgrad.theory.prediction import Inputs, Prediction
from vanishgrad.theory.residual import (
    dense,
    dense_gradients,
    highway,
    highway_gradients,
    residual_stream,
    separately,
    stream_gradients,
)
from vanishgrad.theory.stack import (
    LayerMoments,
    PassageMap,
    Signal,
    Weights,
    shared_gradients,
    squared_gradients,
    stack,
    through,
)

FLOAT32_LENGTH = 1e76  # variance at which pre-activations leave float32
FLOAT32_GRADIENT = -38.0  # decades below which float32 gradients become 0
DEEPEST = 200  # layers for which lengths are told apart; it takes five times as long
LINEAR = Prediction(profile=(), lengths=(), notes=("depth=0: there is no hidden layer",))
ZERO_BRANCHES = (
    "residual={}: every branch starts at 0, so that all gradients inside the blocks{} are exactly 0 at step "
    "0; the stream carries the same gradient past every block"
)


@dataclass(frozen=True)
class HiddenMoments:
    """The hidden layers as the theory has them.

    Arguments:
        logs: log E||dLoss/dz||^2 by layer, up to a constant; minus infinity for exactly 0.
        lengths: E[z^2] by layer.
        first: the moments of the first layer's z; None where there is no theory of the network.
        layers: of a plain perceptron; empty with shortcuts.
        notes: what to say of them.
    """

    logs: list[float] | None
    lengths: list[float] | None
    first: Signal | None = None
    layers: list[LayerMoments] = field(default_factory=list)
    notes: tuple[str, ...] = ()


def uncovered(reason: str) -> HiddenMoments:
    """Layers that the theory has nothing on."""
    return HiddenMoments(None, None, notes=(reason,))


def hidden_layers(setting: Setting, inputs: Inputs, passing: PassageMap | str) -> HiddenMoments:
    """The hidden layers of a perceptron."""
    if isinstance(passing, str):
        return uncovered(passing)
    if setting.init.measures_data and setting.reg.noise > 1:
        return uncovered(
            f"init={setting.init.name} with dropout: its variances are measured without dropout; not covered"
        )
    drawn = [
        setting.init.weights(setting.act, shape.inputs, shape.outputs)
        for shape in shapes(setting, math.prod(setting.data.shape))[: setting.depth]
    ]
    weights = [each for each in drawn if each is not None]
    if len(weights) < setting.depth:
        return uncovered(f"init={setting.init.name}: not covered by the theory")
    y = Signal(inputs.length, inputs.shared)
    if not setting.blocks:
        layers = stack(y, weights, passing)
        logs = _over_lengths(setting, inputs, weights, passing, layers)
        return HiddenMoments(logs, [layer.z.square for layer in layers], layers[0].z, layers)
    stem, blocks = weights[0], [[weights[layer - 1] for layer in block] for block in setting.blocks]
    if setting.residual.gated:
        return _highway(setting, y, stem, blocks, passing)
    if setting.residual.concatenates:
        return _dense(setting, y, stem, blocks, passing)
    if not setting.residual.covered:
        return uncovered(f"residual={setting.residual.name}: not covered by the theory")
    return _stream(setting, y, stem, blocks, passing)


def _over_lengths(
    setting: Setting,
    inputs: Inputs,
    weights: Sequence[Weights],
    passing: PassageMap,
    layers: list[LayerMoments],
) -> list[float]:
    """log E||dLoss/dz||^2 over inputs of all lengths, where an activation passes long and short ones unalike.

    The weights are those of inputs of the mean length, `layers`; of deep networks they are all that is used.
    """
    alike = setting.act.homogeneous or setting.depth > DEEPEST
    if alike or setting.norm.normalizes:
        return squared_gradients(layers)
    read = [inputs.length, *(layer.passage.signal.square for layer in layers)]
    pairs = [each(square) for each, square in zip(weights, read, strict=False)]
    fixed: list[Weights] = [lambda square, pair=pair: pair for pair in pairs]  # type: ignore[misc]
    return shared_gradients([stack(Signal(length), fixed, passing) for length in inputs.lengths])


def _stream(
    setting: Setting, y: Signal, stem: Weights, blocks: Sequence[Sequence[Weights]], passing: PassageMap
) -> HiddenMoments:
    network = residual_stream(y, stem, blocks, passing, setting.residual.branch_factor(len(setting.blocks)))
    lengths = [network.stem.square, *(layer.z.square for block in network.blocks for layer in block.layers)]
    if setting.residual.branch_factor(len(setting.blocks)) == 0:
        return _silent(setting, lengths, network.stem)
    return HiddenMoments(stream_gradients(network)[0], lengths, network.stem)


def _silent(setting: Setting, lengths: list[float], stem: Signal) -> HiddenMoments:
    """Blocks whose branches all start at 0."""
    name = setting.residual.name
    if setting.residual.zero_weights:
        first = " (with its classifier at 0, all of the network's)"
        return HiddenMoments(None, None, stem, notes=(ZERO_BRANCHES.format(name, first),))
    logs = [0.0] + [-math.inf] * (setting.depth - 1)
    return HiddenMoments(logs, lengths, stem, notes=(ZERO_BRANCHES.format(name, ""),))


def _highway(
    setting: Setting, y: Signal, stem: Weights, blocks: Sequence[Sequence[Weights]], passing: PassageMap
) -> HiddenMoments:
    if setting.norm.over_batch:
        return uncovered("residual=highway with norm=batch: what its gates share over a batch is not covered")
    first, moments = highway(y, stem, blocks, passing, setting.residual.gate_bias)
    lengths = [first.z.square, *(layer.z.square for block in moments for layer in block.layers)]
    return HiddenMoments(highway_gradients(first, moments), lengths, first.z)


def _dense(
    setting: Setting, y: Signal, stem: Weights, blocks: Sequence[Sequence[Weights]], passing: PassageMap
) -> HiddenMoments:
    if setting.norm.normalizes and not setting.norm.over_batch:
        return uncovered(
            f"residual=dense with norm={setting.norm.name}: normalization over parts of different lengths is "
            "not covered"
        )
    network = dense(y, stem, blocks, passing, separately(passing))
    lengths = [
        network.parts[0].square,
        *(layer.z.square for block in network.blocks for layer in block.layers),
    ]
    return HiddenMoments(dense_gradients(network), lengths, network.parts[0])


BULK = "q_star, chi_1 and the depth scales are of the inside of large maps; the profile has the borders too"


def convolutional_layers(setting: Setting, inputs: Inputs, stages: int) -> HiddenMoments:
    """The convolutions of a run, their lengths the mean over each map."""
    if setting.blocks:
        return uncovered(f"model=cnn with residual={setting.residual.name}: not covered by the theory")
    if setting.norm.normalizes:
        return uncovered(
            f"model=cnn with norm={setting.norm.name}: what places share in a map is not covered"
        )
    if setting.init.measures_data:
        return uncovered(f"model=cnn with init={setting.init.name}: not covered by the theory")
    layers = _layers(setting, stages)
    if layers is None or not inputs.places:
        return uncovered(
            f"model=cnn with init={setting.init.name} data={setting.data.name}: not covered by the theory"
        )
    moments = maps(
        torch.tensor(inputs.places, dtype=torch.float64), layers, function_of(setting.act), setting.reg.noise
    )
    lengths = [float(each.q.mean()) for each in moments]
    return HiddenMoments(map_gradients(layers, moments), lengths, Signal(lengths[0]), notes=(BULK,))


def _layers(setting: Setting, stages: int) -> list[Convolution] | None:
    field, layers = KERNEL**2, []
    for shape in shapes(setting, setting.data.shape[0], stages)[: setting.depth]:
        pair = setting.init.variances(setting.act, field * shape.inputs, field * shape.outputs)
        if pair is None:
            return None
        layers.append(Convolution(*pair, shape.stride))
    return layers


FAR = 1e20  # the length of a stream that has grown for ever
SETTLED = 60  # layers or blocks after which nothing changes any more
NO_WEIGHTS = "every weight is 0, so that no gradient reaches a hidden layer"
ELSEWHERE = (
    "init=critical: its critical length is half-stable; from this data's q = {:.3g} lengths settle at {:.3g} "
    "beside it, or leave"
)
Figures = dict[str, Any]


def fixed_point(
    setting: Setting, first: Signal, passing: PassageMap, field: int = 1
) -> tuple[Figures, list[str]]:
    """Fields of a `Prediction`, and notes on those left out.

    Arguments:
        setting: the setting.
        first: the moments of the first hidden layer's pre-activations.
        passing: of its layers.
        field: places of a map that a unit reads.
    """
    fan = setting.width * field
    weights = setting.init.weights(setting.act, fan, fan)
    if weights is None:
        return {}, [f"init={setting.init.name}: not covered by the theory"]
    if setting.blocks:
        return _with_shortcuts(setting, first, weights, passing)
    if not setting.norm.normalizes:
        return _plain(setting, first, weights)
    return _normalized(setting, first, weights, passing)


def _of_chi(chi: float) -> Figures:
    return {"chi_1": chi, "xi_grad": depth_scale(chi), "phase": phase(chi)}


def _sigmas(weights: Weights, square: float) -> tuple[float, float]:
    variance_w, variance_b = weights(square)
    return math.sqrt(variance_w), math.sqrt(variance_b)


def _plain(setting: Setting, first: Signal, weights: Weights) -> tuple[Figures, list[str]]:
    f, noise = function_of(setting.act), setting.reg.noise
    sigma_w, sigma_b = _sigmas(weights, noise * second_moment(f, first.square))
    if setting.init.measures_data:
        q = 1.0
        sigma_w, sigma_b = _sigmas(weights, noise * second_moment(f, q))
    else:
        q = q_star(f, sigma_w * math.sqrt(noise), sigma_b, start=first.square or 1.0)
    chi = sigma_w**2 * noise * slope_moment(f, min(q, LARGEST_LENGTH))
    figures = {"sigma_w": sigma_w, "sigma_b": sigma_b, "q_star": q} | _of_chi(chi)
    if sigma_w == 0:
        return figures, [NO_WEIGHTS]
    notes = []
    if setting.init.critical and phase(chi) != "critical":
        notes.append(ELSEWHERE.format(first.square, q))
    return figures | _correlation(f, q, sigma_w, sigma_b, noise) | _length_scale(f, sigma_w, q, noise), notes


def _correlation(f: Function, q: float, sigma_w: float, sigma_b: float, noise: float) -> Figures:
    q = min(max(q, TINY), LARGEST_LENGTH)
    c = c_star(f, q, sigma_w, sigma_b, noise)
    scale = depth_scale(chi_c(f, c, q, sigma_w, sigma_b, noise))
    return {"c_star": c, "xi_c": scale, "trainable_depth": TRAINABLE * scale}


def _length_scale(f: Function, sigma_w: float, q: float, noise: float) -> Figures:
    return {"xi_q": xi_q(f, sigma_w * math.sqrt(noise), min(max(q, TINY), LARGEST_LENGTH))}


def _normalized(
    setting: Setting, first: Signal, weights: Weights, passing: PassageMap
) -> tuple[Figures, list[str]]:
    """Normalization forgets lengths within a layer or two."""
    z = first
    variance_w, passage = 0.0, passing(z)
    for _ in range(4):
        variance_w, z = through(weights, passage.signal)
        passage = passing(z)
    variance_w, variance_b = weights(passage.signal.square)
    figures = {"sigma_w": math.sqrt(variance_w), "sigma_b": math.sqrt(variance_b), "q_star": z.square}
    figures |= _of_chi(variance_w * passage.gain)
    notes = []
    if variance_w == 0:
        return figures, [NO_WEIGHTS]
    if setting.norm.of_examples:
        rescaled = _rescaled(setting, z.square)
        correlated = _correlation(
            rescaled, z.square, figures["sigma_w"], figures["sigma_b"], setting.reg.noise
        )
        figures |= {key: correlated[key] for key in ("c_star", "xi_c")}
    else:
        notes.append(setting.norm.correlations())
    return figures, notes


def _rescaled(setting: Setting, q: float) -> Function:
    """The activation with its normalization, which at the fixed point is a constant scale (and shift)."""
    f = in_float64(function_of(setting.act))
    if setting.norm.position == "pre":
        return lambda x: f(x / math.sqrt(q + EPSILON))
    m = first_moment(f, q) if setting.norm.centres else 0.0
    s = math.sqrt(second_moment(f, q) - m**2 + EPSILON)
    return lambda x: (f(x) - m) / s


def _with_shortcuts(
    setting: Setting, first: Signal, weights: Weights, passing: PassageMap
) -> tuple[Figures, list[str]]:
    note = ["q_star, xi_c: the stream adds up what its blocks give, and has no fixed point of its own"]
    residual = setting.residual
    if residual.gated:
        return _of_chi(_highway_factor(setting, first, weights, passing)), note
    if residual.concatenates:
        return {}, ["q_star, chi_1, xi_c: each dense block reads all earlier ones, not one layer"]
    if not residual.covered:
        return {}, [f"residual={residual.name}: not covered by the theory"]
    factor = residual.branch_factor(len(setting.blocks))
    if factor == 0:
        return {"q_star": first.square} | _of_chi(1.0), []
    if residual.branches_shrink:
        return _of_chi(1.0), [*note, "chi_1: of deep networks, whose branches are scaled by 1/sqrt(blocks)"]
    return _of_chi(_stream_factor(setting, weights, passing, factor)), note


def _stream_factor(setting: Setting, weights: Weights, passing: PassageMap, scale: float) -> float:
    """The factor on the stream's squared gradient per layer, where the stream has grown for ever."""
    far = Signal(FAR, 0.0)
    network = residual_stream(
        far, lambda square: (1.0, 0.0), [[weights] * setting.residual.every], passing, scale
    )
    _, logs = stream_gradients(network)
    return math.exp(logs[0] / setting.residual.every)


def _highway_factor(setting: Setting, first: Signal, weights: Weights, passing: PassageMap) -> float:
    blocks = [[weights] * setting.residual.every] * SETTLED
    start, moments = highway(first, lambda square: (1.0, 0.0), blocks, passing, setting.residual.gate_bias)
    every = setting.residual.every
    gradients = highway_gradients(start, moments[-2:])  # of the stem, and of two blocks
    return math.exp((gradients[every] - gradients[2 * every]) / every)


def predict_perceptron(setting: Setting, inputs: Inputs) -> Prediction:
    """What theory says of a multilayer perceptron."""
    if setting.depth == 0:
        return LINEAR
    passage = _passage(setting, inputs)
    return _predicted(setting, hidden_layers(setting, inputs, passage), passage)


def predict_convolutions(setting: Setting, inputs: Inputs, stages: int) -> Prediction:
    """What theory says of a convolutional network in so many stages."""
    if setting.depth == 0:
        return LINEAR
    hidden = convolutional_layers(setting, inputs, stages)
    return _predicted(setting, hidden, _passage(setting, inputs), KERNEL**2)


def _passage(setting: Setting, inputs: Inputs) -> PassageMap | str:
    batch = inputs.examples if isinstance(setting.batch_size, str) else setting.batch_size
    return setting.norm.passage(function_of(setting.act), setting, batch, setting.reg.noise)


def _predicted(
    setting: Setting, hidden: HiddenMoments, passage: PassageMap | str, field: int = 1
) -> Prediction:
    figures: Figures = _profile(setting, hidden)
    notes = list(hidden.notes)
    if hidden.first is not None and not isinstance(passage, str):
        limits, more = fixed_point(setting, hidden.first, passage, field)
        figures, notes = figures | limits, notes + more
    return Prediction(**figures, notes=tuple(dict.fromkeys([*notes, *_limits(hidden)])))


def _profile(setting: Setting, hidden: HiddenMoments) -> Figures:
    """The profile relative to the last hidden layer, and what follows from a plain network's layers."""
    figures: Figures = {"lengths": None if hidden.lengths is None else tuple(hidden.lengths)}
    if hidden.logs is None:
        return figures
    last = hidden.logs[-1]
    if math.isinf(last):
        return (
            figures | {"profile": tuple(0.0 if log == 0 else None for log in hidden.logs)}
            if setting.blocks
            else figures
        )
    decades = tuple(None if math.isinf(log) else (log - last) / 2 / math.log(10) for log in hidden.logs)
    return (
        figures | {"profile": decades, "log10_gradient_ratio": decades[0]} | _spread(setting, hidden.layers)
    )


def _spread(setting: Setting, layers: list[LayerMoments]) -> Figures:
    """Scatter over the weights and the spectrum of dz_depth/dz_1, of plain networks without normalization."""
    if len(layers) < 2 or setting.norm.normalizes or setting.reg.noise > 1:
        return {}
    f, orthogonal = function_of(setting.act), setting.init.orthogonal
    ratios = [slope_ratio(f, layer.z.square) for layer in layers[:-1]]
    chis = [below.passage.gain * above.variance_w for below, above in pairwise(layers)]
    singular = spectrum(zip(chis, ratios, strict=True), orthogonal)
    figures: Figures = {
        "jacobian_log10_mean": singular.log_mean / math.log(10),
        "jacobian_variance": singular.relative_variance,
    }
    if setting.act.homogeneous:
        around = scatter(layer_variance(ratio, setting.width, orthogonal) for ratio in ratios)
        figures |= {"scatter_shift": around.shift, "scatter": around.deviation}
    return figures


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
