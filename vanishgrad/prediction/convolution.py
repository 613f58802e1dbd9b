"""The gradient of every layer of a plain convolutional network."""

from __future__ import annotations

import torch

from vanishgrad.choices.initialization import LSUV
from vanishgrad.choices.model import CNN
from vanishgrad.choices.normalization import NoNorm, WeightNorm
from vanishgrad.models.shape import shapes
from vanishgrad.prediction.inputs import Inputs
from vanishgrad.prediction.passing import function_of, noise_of
from vanishgrad.prediction.perceptron import HiddenMoments, uncovered
from vanishgrad.prediction.weights import variances
from vanishgrad.run import Run
from vanishgrad.theory.convolution import KERNEL, Convolution, map_gradients, maps
from vanishgrad.theory.stack import Signal

BULK = "q_star, chi_1 and the depth scales are of the inside of large maps; the profile has the borders too"


def convolutional_layers(run: Run, inputs: Inputs) -> HiddenMoments:
    """The convolutions of `run`, their lengths the mean over each map."""
    if run.blocks:
        return uncovered(f"model=cnn with residual={run.residual.name}: not covered by the theory")
    if not isinstance(run.norm, NoNorm | WeightNorm):
        return uncovered(f"model=cnn with norm={run.norm.name}: what places share in a map is not covered")
    if isinstance(run.init, LSUV):
        return uncovered("model=cnn with init=lsuv: not covered by the theory")
    layers = _layers(run)
    if layers is None or not inputs.places:
        return uncovered(
            f"model=cnn with init={run.init.name} data={run.data.name}: not covered by the theory"
        )
    found = maps(
        torch.tensor(inputs.places, dtype=torch.float64), layers, function_of(run.act), noise_of(run)
    )
    lengths = [float(each.q.mean()) for each in found]
    return HiddenMoments(map_gradients(layers, found), lengths, Signal(lengths[0]), notes=(BULK,))


def _layers(run: Run) -> list[Convolution] | None:
    assert isinstance(run.model, CNN)
    field, found = KERNEL**2, []
    for shape in shapes(run, run.data.shape[0], run.model.stages)[: run.depth]:
        pair = variances(run.init, run.act, field * shape.inputs, field * shape.outputs)
        if pair is None:
            return None
        found.append(Convolution(*pair, shape.stride))
    return found
