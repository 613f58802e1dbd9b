"""Learning by gradients: the way downhill, and the chain rule that says which way that is."""

from __future__ import annotations

from itertools import pairwise

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.lab.chain_rule import (
    collapse_error,
    norm_product,
    product_error,
    quotient_error,
    weight_gradient_error,
)
from vanishgrad.lab.chapter import Chapter, Plate, Probe, Training
from vanishgrad.lab.claim import PROBE, Evidence, at_least, at_most, claim, near
from vanishgrad.lab.colours import colours_of
from vanishgrad.lab.figures.factors import factors
from vanishgrad.lab.rows import by_condition, gained, per_seed, steps_to
from vanishgrad.lab.valley import descent_from_anywhere
from vanishgrad.report.figures import final_accuracy, loss_landscape, training_curves

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


def _landscape(evidence: Evidence) -> Figure:
    return loss_landscape(evidence["landscape"]["landscape"])


def _rates(evidence: Evidence) -> Figure:
    rows = evidence["rates"]["metrics"]
    return training_curves(rows, colours_of(rows["setting"]))


def _factors(evidence: Evidence) -> Figure:
    return factors(evidence["chain"][PROBE])


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
