"""Activations in networks that have not been trained: slopes, signs of gradients, likeness of outputs."""

from __future__ import annotations

from itertools import product

import pandas as pd
import torch
from torch import Tensor, nn

from vanishgrad.choices.activation import Erf, Sigmoid, Softsign, Tanh
from vanishgrad.choices.data import Digits, load
from vanishgrad.choices.initialization import Gaussian, Xavier
from vanishgrad.choices.model.build import build
from vanishgrad.choices.protocol import Activation, Initialization
from vanishgrad.modules.weights import weight_matrices
from vanishgrad.run import Run
from vanishgrad.streams import stream

DEEP = 20
DRAWS = 100_000
BOUNDS: dict[Activation, float] = {
    Sigmoid(): 0.25, Tanh(): 1.0, Softsign(): 1.0, Erf(): 2 / torch.pi**0.5
}  # fmt: skip
CENTRED_OR_NOT: tuple[Activation, ...] = (Sigmoid(), Tanh())
NETWORKS: tuple[tuple[Activation, Initialization, str], ...] = (
    (Sigmoid(), Xavier(), "act=sigmoid init=xavier"),
    (Sigmoid(), Gaussian(sigma_w=4.0), "act=sigmoid sigma_w=4"),
    (Tanh(), Xavier(), "act=tanh init=xavier"),
)


def slopes(seed: int) -> pd.DataFrame:
    """`act, steepest, bound`: the largest slope of the module that trains, at random inputs and at 0."""
    z = 3 * torch.randn(DRAWS, generator=stream(seed, "slopes"), dtype=torch.float64)
    z[0] = 0
    rows = [(act.name, float(slope_at(act, z).max()), bound) for act, bound in BOUNDS.items()]
    return pd.DataFrame(rows, columns=["act", "steepest", "bound"])


def slope_at(act: Activation, z: Tensor) -> Tensor:
    """The derivative of an activation by autograd."""
    z = z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(act.module().to(z.dtype)(z).sum(), z)
    return slope


def signs(seed: int) -> pd.DataFrame:
    """`act, batch, one_sign`: the share of units whose incoming weights all have a gradient of one sign."""
    data = load(Digits())
    rows = []
    for act, batch in product(CENTRED_OR_NOT, (1, 64)):
        run = Run(depth=3, act=act, init=Xavier(), seed=seed)
        model = build(run)
        second = weight_matrices(model)[1].weight
        loss = run.criterion(model(data.train_x[:batch]), data.train_y[:batch])
        (gradient,) = torch.autograd.grad(loss, second)
        alike = (gradient > 0).all(1) | (gradient < 0).all(1)
        rows.append((act.name, batch, float(alike.double().mean())))
    return pd.DataFrame(rows, columns=["act", "batch", "one_sign"])


def similarity(seed: int) -> pd.DataFrame:
    """`setting, run, layer, cosine`: between what a layer makes of different digits, mean over pairs."""
    x = load(Digits()).train_x[:64]
    rows = []
    for act, init, setting in NETWORKS:
        outputs = hidden_outputs(Run(depth=DEEP, width=256, act=act, init=init, seed=seed), x)
        rows += [(setting, f"{setting} {seed}", n, mean_cosine(h)) for n, h in enumerate(outputs, 1)]
    return pd.DataFrame(rows, columns=["setting", "run", "layer", "cosine"]).assign(status="completed")


def hidden_outputs(run: Run, x: Tensor) -> list[Tensor]:
    """What each activation of the initial network gives out."""
    model, outputs = build(run), []
    for module in model.modules():
        if isinstance(module, type(run.act.module())):
            module.register_forward_hook(lambda _, __, output: outputs.append(output))
    with torch.no_grad():
        model(x)
    return outputs


def mean_cosine(rows: Tensor) -> float:
    """Between different rows, mean over all pairs."""
    unit = nn.functional.normalize(rows.double())
    count = len(unit)
    return float((unit.sum(0).square().sum() - count) / (count * (count - 1)))
