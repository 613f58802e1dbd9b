"""The chain rule taken apart: the factors of a gradient, and whether they multiply to it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from vanishgrad.choices.activation import Identity, Tanh
from vanishgrad.choices.data import load
from vanishgrad.choices.initialization import Gaussian, Xavier
from vanishgrad.choices.model.build import build
from vanishgrad.run import Run

NARROW = Run(depth=10, width=1, act=Tanh(), init=Gaussian(1.5), dtype="float64")
WIDE = Run(depth=10, width=64, act=Tanh(), init=Xavier(), dtype="float64")
EXAMPLES = 32
SMALL = 1e-6  # of a weight, for a difference quotient


class ChainRulePass(NamedTuple):
    """A pass through a network by hand.

    Arguments:
        layers: the linear layers.
        inputs: of each, `(batch, fan_in)`.
        sums: what each gives, z `(batch, width)`.
        slopes: of the activation at each z but the last.
        deltas: dLoss/dz of each.
        loss: of the batch.
    """

    layers: list[nn.Linear]
    inputs: list[Tensor]
    sums: list[Tensor]
    slopes: list[Tensor]
    deltas: list[Tensor]
    loss: Tensor


def by_hand(run: Run, examples: int = EXAMPLES) -> ChainRulePass:
    """Forward module by module, and the gradient of every z from autograd."""
    data, network = load(run.data), build(run)
    x, y = data.train_x[:examples].double(), data.train_y[:examples]
    layers, inputs, sums = [], [], []
    for module in network.children():
        if isinstance(module, nn.Linear):
            layers.append(module)
            inputs.append(x.detach())
        x = module(x)
        if isinstance(module, nn.Linear):
            sums.append(x)
    loss = run.criterion(x, y)
    deltas = list(torch.autograd.grad(loss, sums, retain_graph=True))
    act = run.act.module()
    slopes = [_slope(act, z) for z in sums[:-1]]
    return ChainRulePass(layers, inputs, sums, slopes, deltas, loss)


def product_error(seed: int) -> pd.DataFrame:
    """`layer, product, measured, error`: of a network of one unit per layer.

    The product of the factors above a layer, each a slope times a weight, beside autograd's gradient.
    """
    found = by_hand(replace(NARROW, seed=seed), examples=1)
    product = found.deltas[-2][0, 0].detach()
    rows = [(len(found.slopes), float(product), float(product))]
    for layer in range(len(found.slopes) - 1, 0, -1):
        product = product * found.layers[layer].weight.detach()[0, 0] * found.slopes[layer - 1][0, 0]
        rows.append((layer, float(product), float(found.deltas[layer - 1][0, 0])))
    table = pd.DataFrame(rows, columns=["layer", "product", "measured"])
    return table.assign(error=(table["product"] - table["measured"]).abs() / table["measured"].abs())


def norm_product(seed: int) -> pd.DataFrame:
    """`width, ratio`: the norm of the first layer's gradient / the product of the factors' norms."""
    rows = []
    for run in (NARROW, WIDE):
        found = by_hand(replace(run, seed=seed), examples=1)
        bound = found.deltas[-2].norm()
        for layer in range(len(found.slopes) - 1, 0, -1):
            factor = (
                found.layers[layer].weight.detach() * found.slopes[layer - 1]
            )  # (above, below) x (1, below)
            bound = bound * torch.linalg.matrix_norm(factor, 2)
        rows.append((run.width, float(found.deltas[0].norm() / bound)))
    return pd.DataFrame(rows, columns=["width", "ratio"])


def weight_gradient_error(seed: int) -> pd.DataFrame:
    """`layer, error`: dLoss/dW against the outer product of dLoss/dz and the layer's input, relative."""
    found = by_hand(replace(WIDE, seed=seed))
    gradients = torch.autograd.grad(found.loss, [layer.weight for layer in found.layers])
    products = [delta.T @ x for delta, x in zip(found.deltas, found.inputs, strict=True)]
    errors = [float((a - b).norm() / a.norm()) for a, b in zip(gradients, products, strict=True)]
    return pd.DataFrame({"layer": range(1, len(errors) + 1), "error": errors})


def quotient_error(seed: int) -> pd.DataFrame:
    """`layer, error`: the derivative in a random direction of W against a central difference, relative."""
    run = replace(WIDE, seed=seed)
    data, network = load(run.data), build(run)
    x, y = data.train_x[:EXAMPLES].double(), data.train_y[:EXAMPLES]
    weights = [module.weight for module in network.children() if isinstance(module, nn.Linear)]
    gradients = torch.autograd.grad(run.criterion(network(x), y), weights)
    generator = torch.Generator().manual_seed(seed)
    errors = []
    for weight, gradient in zip(weights, gradients, strict=True):
        way = torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
        losses = []
        for side in (SMALL, -SMALL):
            with torch.no_grad():
                weight += side * way
                losses.append(float(run.criterion(network(x), y)))
                weight -= side * way
        slope, quotient = float((gradient * way).sum()), (losses[0] - losses[1]) / (2 * SMALL)
        errors.append(abs(slope - quotient) / abs(slope))
    return pd.DataFrame({"layer": range(1, len(errors) + 1), "error": errors})


def collapse_error(seed: int) -> pd.DataFrame:
    """`error`: of the one matrix and bias that the layers of a linear network multiply to, relative."""
    run = replace(WIDE, act=Identity(), seed=seed)
    x = load(run.data).train_x[:EXAMPLES].double().flatten(1)
    network = build(run)
    matrix, bias = torch.eye(x.shape[1], dtype=x.dtype), torch.zeros(x.shape[1], dtype=x.dtype)
    for module in network.children():
        if isinstance(module, nn.Linear):
            matrix, bias = module.weight @ matrix, module.weight @ bias + module.bias
    deep, flat = network(x).detach(), (x @ matrix.T + bias).detach()
    return pd.DataFrame({"error": [float((deep - flat).norm() / deep.norm())]})


def _slope(act: nn.Module, z: Tensor) -> Tensor:
    """The activation's derivative at `z`."""
    at = z.detach().requires_grad_()
    (slope,) = torch.autograd.grad(act(at).sum(), at)
    return slope
