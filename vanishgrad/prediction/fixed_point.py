"""Where signals and gradients of ever deeper networks end up: q_star, chi_1 and the depth scales."""

from __future__ import annotations

import math
from typing import Any

from vanishgrad.choices.initialization import Critical
from vanishgrad.choices.model import CNN
from vanishgrad.choices.normalization import BatchNorm, LayerNorm, NoNorm, RMSNorm, WeightNorm
from vanishgrad.choices.residual import DenseShortcut, Fixup, HighwayShortcut, Rezero, ScaledShortcut
from vanishgrad.prediction.passing import EPSILON, function_of, noise_of
from vanishgrad.prediction.weights import weights_of
from vanishgrad.run import Run
from vanishgrad.theory.convolution import KERNEL
from vanishgrad.theory.correlation import TRAINABLE, c_star, chi_c, depth_scale, phase, xi_q
from vanishgrad.theory.gaussian import Function, in_float64
from vanishgrad.theory.mean_field import (
    LARGEST_LENGTH,
    TINY,
    first_moment,
    q_star,
    second_moment,
    slope_moment,
)
from vanishgrad.theory.residual import highway, highway_gradients, stream, stream_gradients
from vanishgrad.theory.stack import PassageMap, Signal, Weights, through

FAR = 1e20  # the length of a stream that has grown for ever
SETTLED = 60  # layers or blocks after which nothing changes any more
NO_WEIGHTS = "every weight is 0, so that no gradient reaches a hidden layer"
ELSEWHERE = (
    "init=critical: its critical length is half-stable; from this data's q = {:.3g} lengths settle at {:.3g} "
    "beside it, or leave"
)
APART = "c_star, xi_c: batch norm keeps the inputs of a batch apart by itself"
IN_GROUPS = "c_star, xi_c: correlations under group norm are not covered"
Figures = dict[str, Any]


def fixed_point(run: Run, first: Signal, passing: PassageMap) -> tuple[Figures, list[str]]:
    """Fields of a `Prediction`, and notes on those left out.

    Arguments:
        run: the setting.
        first: the moments of the first hidden layer's pre-activations.
        passing: of its layers.
    """
    fan = run.width * (KERNEL**2 if isinstance(run.model, CNN) else 1)
    weights = weights_of(run.init, run.act, fan, fan)
    if weights is None:
        return {}, [f"init={run.init.name}: not covered by the theory"]
    if run.blocks:
        return _with_shortcuts(run, first, weights, passing)
    if isinstance(run.norm, NoNorm | WeightNorm):
        return _plain(run, first, weights)
    return _normalized(run, first, weights, passing)


def _of_chi(chi: float) -> Figures:
    return {"chi_1": chi, "xi_grad": depth_scale(chi), "phase": phase(chi)}


def _sigmas(weights: Weights, square: float) -> tuple[float, float]:
    variance_w, variance_b = weights(square)
    return math.sqrt(variance_w), math.sqrt(variance_b)


def _plain(run: Run, first: Signal, weights: Weights) -> tuple[Figures, list[str]]:
    f, noise = function_of(run.act), noise_of(run)
    sigma_w, sigma_b = _sigmas(weights, noise * second_moment(f, first.square))
    if run.init.name == "lsuv":
        q = 1.0
        sigma_w, sigma_b = _sigmas(weights, noise * second_moment(f, q))
    else:
        q = q_star(f, sigma_w * math.sqrt(noise), sigma_b, start=first.square or 1.0)
    chi = sigma_w**2 * noise * slope_moment(f, min(q, LARGEST_LENGTH))
    found = {"sigma_w": sigma_w, "sigma_b": sigma_b, "q_star": q} | _of_chi(chi)
    if sigma_w == 0:
        return found, [NO_WEIGHTS]
    notes = []
    if isinstance(run.init, Critical) and phase(chi) != "critical":
        notes.append(ELSEWHERE.format(first.square, q))
    return found | _correlation(f, q, sigma_w, sigma_b, noise) | _length_scale(f, sigma_w, q, noise), notes


def _correlation(f: Function, q: float, sigma_w: float, sigma_b: float, noise: float) -> Figures:
    q = min(max(q, TINY), LARGEST_LENGTH)
    c = c_star(f, q, sigma_w, sigma_b, noise)
    scale = depth_scale(chi_c(f, c, q, sigma_w, sigma_b, noise))
    return {"c_star": c, "xi_c": scale, "trainable_depth": TRAINABLE * scale}


def _length_scale(f: Function, sigma_w: float, q: float, noise: float) -> Figures:
    return {"xi_q": xi_q(f, sigma_w * math.sqrt(noise), min(max(q, TINY), LARGEST_LENGTH))}


def _normalized(run: Run, first: Signal, weights: Weights, passing: PassageMap) -> tuple[Figures, list[str]]:
    """Normalization forgets lengths within a layer or two."""
    z = first
    variance_w, passage = 0.0, passing(z)
    for _ in range(4):
        variance_w, z = through(weights, passage.signal)
        passage = passing(z)
    variance_w, variance_b = weights(passage.signal.square)
    found = {"sigma_w": math.sqrt(variance_w), "sigma_b": math.sqrt(variance_b), "q_star": z.square}
    found |= _of_chi(variance_w * passage.gain)
    notes = []
    if variance_w == 0:
        return found, [NO_WEIGHTS]
    if isinstance(run.norm, LayerNorm | RMSNorm):
        rescaled = _rescaled(run, z.square)
        correlated = _correlation(rescaled, z.square, found["sigma_w"], found["sigma_b"], noise_of(run))
        found |= {key: correlated[key] for key in ("c_star", "xi_c")}
    else:
        notes.append(APART if isinstance(run.norm, BatchNorm) else IN_GROUPS)
    return found, notes


def _rescaled(run: Run, q: float) -> Function:
    """The activation with its normalization, which at the fixed point is a constant scale (and shift)."""
    f = in_float64(function_of(run.act))
    if run.norm.position == "pre":
        return lambda x: f(x / math.sqrt(q + EPSILON))
    m = first_moment(f, q) if isinstance(run.norm, LayerNorm) else 0.0
    s = math.sqrt(second_moment(f, q) - m**2 + EPSILON)
    return lambda x: (f(x) - m) / s


def _with_shortcuts(
    run: Run, first: Signal, weights: Weights, passing: PassageMap
) -> tuple[Figures, list[str]]:
    note = ["q_star, xi_c: the stream adds up what its blocks give, and has no fixed point of its own"]
    match run.residual:
        case Rezero() | Fixup():
            return {"q_star": first.square} | _of_chi(1.0), note[:0]
        case DenseShortcut():
            return {}, ["q_star, chi_1, xi_c: each dense block reads all earlier ones, not one layer"]
        case HighwayShortcut(gate_bias=bias):
            return _of_chi(_highway_factor(run, first, weights, passing, bias)), note
        case ScaledShortcut(scale=None):
            return _of_chi(1.0), [
                *note,
                "chi_1: of deep networks, whose branches are scaled by 1/sqrt(blocks)",
            ]
        case residual:
            scale = (
                residual.scale if isinstance(residual, ScaledShortcut) and residual.scale is not None else 1.0
            )
            return _of_chi(_stream_factor(run, weights, passing, scale)), note


def _stream_factor(run: Run, weights: Weights, passing: PassageMap, scale: float) -> float:
    """The factor on the stream's squared gradient per layer, where the stream has grown for ever."""
    far = Signal(FAR, 0.0)
    network = stream(far, lambda square: (1.0, 0.0), [[weights] * run.residual.every], passing, scale)
    _, logs = stream_gradients(network)
    return math.exp(logs[0] / run.residual.every)


def _highway_factor(run: Run, first: Signal, weights: Weights, passing: PassageMap, bias: float) -> float:
    blocks = [[weights] * run.residual.every] * SETTLED
    start, found = highway(first, lambda square: (1.0, 0.0), blocks, passing, bias)
    every = run.residual.every
    gradients = highway_gradients(start, found[-2:])  # of the stem, and of two blocks
    return math.exp((gradients[every] - gradients[2 * every]) / every)
