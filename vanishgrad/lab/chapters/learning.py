"""Learning by gradients: the way downhill, and the chain rule that says which way that is."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from vanishgrad.choices.activation import Identity, Tanh
from vanishgrad.choices.data import load
from vanishgrad.choices.initialization import Gaussian, Xavier
from vanishgrad.choices.model.build import build
from vanishgrad.lab.chapter import Chapter, Plate, Probe, Training
from vanishgrad.lab.claim import PROBE, Evidence, at_least, at_most, claim, near
from vanishgrad.lab.colours import colours_of
from vanishgrad.lab.rows import by_condition, gained, per_seed, steps_to
from vanishgrad.lab.valley import descent_from_anywhere
from vanishgrad.report.figures import final_accuracy, loss_landscape, training_curves
from vanishgrad.report.figures.canvas import name_axes, panels
from vanishgrad.report.figures.palette import COLOURS
from vanishgrad.report.figures.view import X_LABELS
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

    The product of the factors above a layer, each a slope times a weight, next to autograd's gradient.
    """
    chain = by_hand(replace(NARROW, seed=seed), examples=1)
    product = chain.deltas[-2][0, 0].detach()
    rows = [(len(chain.slopes), float(product), float(product))]
    for layer in range(len(chain.slopes) - 1, 0, -1):
        product = product * chain.layers[layer].weight.detach()[0, 0] * chain.slopes[layer - 1][0, 0]
        rows.append((layer, float(product), float(chain.deltas[layer - 1][0, 0])))
    table = pd.DataFrame(rows, columns=["layer", "product", "measured"])
    return table.assign(error=(table["product"] - table["measured"]).abs() / table["measured"].abs())


def norm_product(seed: int) -> pd.DataFrame:
    """`width, ratio`: the norm of the first layer's gradient / the product of the factors' norms."""
    rows = []
    for run in (NARROW, WIDE):
        chain = by_hand(replace(run, seed=seed), examples=1)
        bound = chain.deltas[-2].norm()
        for layer in range(len(chain.slopes) - 1, 0, -1):
            factor = (
                chain.layers[layer].weight.detach() * chain.slopes[layer - 1]
            )  # (above, below) x (1, below)
            bound = bound * torch.linalg.matrix_norm(factor, 2)
        rows.append((run.width, float(chain.deltas[0].norm() / bound)))
    return pd.DataFrame(rows, columns=["width", "ratio"])


def weight_gradient_error(seed: int) -> pd.DataFrame:
    """`layer, error`: dLoss/dW against the outer product of dLoss/dz and the layer's input, relative."""
    chain = by_hand(replace(WIDE, seed=seed))
    gradients = torch.autograd.grad(chain.loss, [layer.weight for layer in chain.layers])
    products = [delta.T @ x for delta, x in zip(chain.deltas, chain.inputs, strict=True)]
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


REACHED = 0.5  # accuracy
FASTER = 0.5

VALLEY = Probe("valley", descent_from_anywhere)
RATES = Training(
    "rates", ("depth=2", "act=tanh", "lr=0.001,0.01,0.1,1,10", "max_steps=800", "eval_every=10"),
    quick=("max_steps=200",),
)  # fmt: skip
BATCHES = Training(
    "batches", ("depth=2", "act=tanh", "lr=0.02", "batch_size=16,full", "epochs=1000", "max_steps=150",
                "log_every=1", "eval_every=50"),
    quick=("max_steps=60",),
)  # fmt: skip
LANDSCAPE = Training(
    "landscape", ("depth=3", "width=32", "act=tanh", "lr=0.1", "max_steps=300", "snapshots=30"), seeds=1,
    quick=("max_steps=60", "snapshots=10"),
)  # fmt: skip
SPIRALS = Training(
    "spirals", ("data=spirals", "act=identity,tanh", "depth=0,1,3", "optim=adam", "lr=0.01", "max_steps=600"),
    quick=("max_steps=300",),
)  # fmt: skip
CHAIN = Probe("chain", product_error)
NORMS = Probe("norms", norm_product)
WEIGHTS = Probe("weights", weight_gradient_error)
QUOTIENTS = Probe("quotients", quotient_error)
COLLAPSE = Probe("collapse", collapse_error)


@claim(
    "Gradient descent finds the minimum of the loss surface",
    "loss after 300 steps in a valley / loss at the start",
    at_most(0.01),
)
def finds_the_minimum(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(evidence["valley"][PROBE], "lr", lambda own: own["left"].iloc[0])


@claim(
    "A higher rate learns faster",
    f"steps to {REACHED:.0%} accuracy / steps with a tenth of the rate",
    at_most(FASTER),
)
def higher_is_faster(evidence: Evidence) -> dict[str, list[float]]:
    steps = by_condition(
        evidence["rates"]["metrics"], "lr", lambda own: steps_to(own, "val_accuracy", REACHED)
    )
    rates = sorted(steps, key=lambda name: float(name.removeprefix("lr=")))
    return {
        faster: [_share(high, low) for high, low in zip(steps[faster], steps[slower], strict=True)]
        for slower, faster in pairwise(rates)
    }


def _share(steps: float, of: float) -> float:
    """Of two infinite numbers neither is faster."""
    return 1.0 if steps == of else steps / of


@claim("Every step of gradient descent lowers the loss", "share of steps after which it is lower", near(1, 0))
def always_downhill(evidence: Evidence) -> dict[str, list[float]]:
    rows = evidence["batches"]["metrics"].dropna(subset="train_loss")
    return by_condition(rows, "batch_size", _share_downhill)


def _share_downhill(rows: pd.DataFrame) -> float:
    changes = rows.sort_values("step")["train_loss"].diff().dropna()
    return float((changes < 0).mean())


@claim(
    "Backpropagation gives the derivative of the loss",
    "largest relative distance from a difference quotient",
    at_most(1e-6),
)
def is_the_derivative(evidence: Evidence) -> list[float]:
    return per_seed(evidence["quotients"][PROBE], lambda own: own["error"].max())


@claim(
    "The gradient of a layer is the product of the slopes and weights above it",
    "largest relative distance, layers of one unit",
    at_most(1e-10),
)
def is_a_product(evidence: Evidence) -> list[float]:
    return per_seed(evidence["chain"][PROBE], lambda own: own["error"].max())


@claim(
    "So its norm is the product of their norms",
    "norm of the first layer's gradient / product of the factors' norms",
    near(1, 0.01),
)
def norms_multiply(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(evidence["norms"][PROBE], "width", lambda own: own["ratio"].iloc[0])


@claim(
    "The gradient of a weight is the gradient of its layer times the layer's input",
    "largest relative distance from autograd",
    at_most(1e-10),
)
def times_the_input(evidence: Evidence) -> list[float]:
    return per_seed(evidence["weights"][PROBE], lambda own: own["error"].max())


@claim(
    "More layers make a more powerful function",
    "accuracy on two spirals minus that of the linear model",
    at_least(0.1),
)
def depth_is_power(evidence: Evidence) -> dict[str, list[float]]:
    return gained(evidence["spirals"]["summary"], "act", (3, 0))


@claim(
    "Without activations ten layers are one",
    "relative distance from the one matrix that they multiply to",
    at_most(1e-10),
)
def linear_layers_collapse(evidence: Evidence) -> list[float]:
    return per_seed(evidence["collapse"][PROBE], lambda own: own["error"].max())


def gradient_factors(chain: pd.DataFrame) -> Figure:
    """|dLoss/dz| of every layer as autograd gives it, and as the product of slopes and weights.

    `chain`: `seed, layer, product, measured`.
    """
    figure, axes = panels("A gradient is a product: ten layers of one unit", 1, 1, (7.0, 3.6))
    panel = axes[0, 0]
    for place, (seed, rows) in enumerate(chain.groupby("seed")):
        colour = COLOURS[place % len(COLOURS)]
        panel.plot(rows["layer"], rows["measured"].abs(), color=colour, linewidth=1.5, label=f"seed {seed}")
        panel.plot(rows["layer"], rows["product"].abs(), "o", color=colour, markersize=5)
    name_axes(panel, "line: autograd, dots: slopes times weights", X_LABELS["layer"], "|dLoss/dz|")
    panel.set_yscale("log")
    panel.set_xticks(sorted(chain["layer"].unique()))
    panel.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)
    return figure


def _landscape(evidence: Evidence) -> Figure:
    return loss_landscape(evidence["landscape"]["landscape"])


def _rates(evidence: Evidence) -> Figure:
    rows = evidence["rates"]["metrics"]
    return training_curves(rows, colours_of(rows["setting"]))


def _factors(evidence: Evidence) -> Figure:
    return gradient_factors(evidence["chain"][PROBE])


def _spirals(evidence: Evidence) -> Figure:
    rows = evidence["spirals"]["summary"]
    return final_accuracy(rows, colours_of(rows["setting"]))


LEARNING = Chapter(
    "learning",
    "Learning by gradients",
    (VALLEY, RATES, BATCHES, LANDSCAPE, CHAIN, NORMS, WEIGHTS, QUOTIENTS, SPIRALS, COLLAPSE),
    (
        Plate("rates", "The same network with five learning rates: each tenfold rate learns faster, until "
              "one does not learn at all.", _rates),
        Plate("landscape", "The loss around a trained network of three layers. Left, the way that training "
              "took, to the star; right, how steep it is around the star.", _landscape,
              is_picture=True),
        Plate("factors", "Down a chain of single units the gradient is multiplied by one slope and one "
              "weight per layer; the product of those numbers is what autograd finds.", _factors),
        Plate("spirals", "Two spirals that no line separates: layers help only with an activation between "
              "them.", _spirals),
    ),
    (
        finds_the_minimum, higher_is_faster, always_downhill, is_the_derivative, is_a_product, norms_multiply,
        times_the_input, depth_is_power, linear_layers_collapse,
    ),
)  # fmt: skip
