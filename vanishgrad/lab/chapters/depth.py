"""Depth and the chain rule: what a product of many factors does to the gradient."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.lab.chapter import Chapter, Plate, Training
from vanishgrad.lab.claim import Evidence, at_least, at_most, claim
from vanishgrad.lab.colours import colours_of
from vanishgrad.lab.rows import (
    LAST_HIDDEN,
    at_first,
    at_last,
    by_condition,
    gained,
    in_layer,
    log_fit,
    ratio,
    relabel,
)
from vanishgrad.report.figures import training_curves
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import View

SHALLOW, DEEP = 1, 20
MARGIN = 0.05  # three standard errors of a difference of two accuracies on 360 held-out digits
STEPS = "max_steps=600"

WEIGHTS = Training(
    "weights",
    ("depth=20", "width=256", "act=tanh", "init=gaussian", "init.sigma_w=0.7,1,2", "max_steps=0"),
)
SATURATING = Training(
    "saturating", ("depth=20", "act=sigmoid,tanh", "init=xavier", STEPS, "log_every=50"),
    quick=("max_steps=100",),
)  # fmt: skip
RECTIFYING = Training(
    "rectifying", ("depth=20", "act=relu", "init=he", STEPS, "log_every=50"), quick=("max_steps=100",)
)
DEPTHS = Training(
    "depths", ("act=sigmoid,tanh", "init=xavier", "depth=1,2,3,5,10,20", "optim=adam", "max_steps=400"),
    quick=("max_steps=100", "depth=1,5,20"),
)  # fmt: skip
LARGE = Training(
    "large",
    ("depth=20", "width=256", "act=sigmoid,tanh,relu", "init=normal", "init.std=0.5", "max_steps=0"),
)


def activations(evidence: Evidence) -> pd.DataFrame:
    """The gradients of all three activations, each with the weights of its time."""
    parts = [evidence[one.name]["gradients"] for one in (SATURATING, RECTIFYING)]
    alone = relabel(parts[1], "act=relu").assign(act="relu")
    return pd.concat([parts[0], alone], ignore_index=True)


@claim("The gradient changes exponentially with depth", "R² of log gradient on layer", at_least(0.98))
def exponential(evidence: Evidence) -> dict[str, list[float]]:
    start = at_first(evidence["weights"]["gradients"])
    return by_condition(start, "init.sigma_w", lambda rows: log_fit(rows).r_squared)


@claim(
    "The change per layer is the one that theory predicts",
    "measured minus predicted slope, absolute",
    at_most(0.02, "decades per layer"),
)
def as_predicted(evidence: Evidence) -> dict[str, list[float]]:
    start = at_first(evidence["weights"]["gradients"])
    return by_condition(
        start,
        "init.sigma_w",
        lambda rows: abs(log_fit(rows).slope - log_fit(rows, "predicted_delta_norm").slope),
    )


@claim(
    "Layers near the input learn more slowly",
    "||dLoss/dW|| / ||W|| of the last hidden layer / that of the first, at the first step",
    at_least(10),
)
def slower_below(evidence: Evidence) -> dict[str, list[float]]:
    start = at_first(activations(evidence))
    return by_condition(start, "act", _unevenness)


def _unevenness(rows: pd.DataFrame) -> float:
    """Of the relative gradients; the update itself float32 may round to nothing."""
    speed = rows.assign(speed=rows["grad_norm"] / rows["weight_norm"])
    return ratio(in_layer(speed, "speed", LAST_HIDDEN), in_layer(speed, "speed", 1))


@claim(
    "After long training the layers near the input are still near their start",
    "||W - W_0|| / ||W_0|| of the first layer at the end",
    at_most(0.01),
)
def still_there(evidence: Evidence) -> dict[str, list[float]]:
    end = at_last(activations(evidence))
    return by_condition(end, "act", lambda rows: in_layer(rows, "weight_drift", 1))


@claim(
    "More layers do no harm",
    f"accuracy with {DEEP} layers minus accuracy with {SHALLOW}",
    at_least(-MARGIN),
)
def no_harm(evidence: Evidence) -> dict[str, list[float]]:
    return gained(evidence["depths"]["summary"], "act", (DEEP, SHALLOW))


@claim(
    "Initial weights too large make the gradient explode",
    "growth of the gradient from the last hidden layer to the first, weights of deviation 0.5",
    at_least(1, "decades"),
)
def large_explodes(evidence: Evidence) -> dict[str, list[float]]:
    start = at_first(evidence["large"]["gradients"])
    return by_condition(start, "act", _growth)


def _growth(rows: pd.DataFrame) -> float:
    """In decades, by the fitted line."""
    return -log_fit(rows).slope * float(rows["layer"].max() - 2)


def _profiles(evidence: Evidence) -> Figure:
    rows = at_first(evidence["weights"]["gradients"])
    view = View(
        rows, "layer", "delta_norm", "at the start", "||dLoss/dz|| (L2)", theory="predicted_delta_norm"
    )
    return draw_views("Gradients below, at and above the edge", [view], colours_of(rows["setting"]))


def _speed(evidence: Evidence) -> Figure:
    rows = activations(evidence)
    first = View(at_first(rows), "layer", "update_ratio", "first step", "||change of W|| / ||W||")
    drift = View(at_last(rows), "layer", "weight_drift", "after training", "||W - W_0|| / ||W_0||")
    return draw_views("Who learns: one step, and the whole way", [first, drift], colours_of(rows["setting"]))


def _depths(evidence: Evidence) -> Figure:
    return training_curves(evidence["depths"]["metrics"])


def _large(evidence: Evidence) -> Figure:
    rows = at_first(evidence["large"]["gradients"])
    view = View(
        rows, "layer", "delta_norm", "at the start", "||dLoss/dz|| (L2)", theory="predicted_delta_norm"
    )
    return draw_views("Weights of standard deviation 0.5", [view], colours_of(rows["setting"]))


DEPTH = Chapter(
    "depth",
    "Depth and the chain rule",
    (WEIGHTS, SATURATING, RECTIFYING, DEPTHS, LARGE),
    (
        Plate("profiles", "The same tanh network of twenty layers with small, fitting and large weights: the "
              "first layer's gradient differs by a factor of tens of thousands. Dashed: theory.", _profiles),
        Plate("speed", "The first step, and the way that each layer has come after training: in the sigmoid "
              "network the lower layers stand still, in the others all move.", _speed),
        Plate("depths", "Every layer that is added makes a sigmoid network learn later and worse. tanh with "
              "the same weights does not mind.", _depths),
        Plate("large", "Weights of deviation 0.5, many times the usual: the gradient explodes towards the "
              "input with ReLU and tanh, but not with sigmoid, whose units are all saturated.", _large),
    ),
    (exponential, as_predicted, slower_below, still_there, no_harm, large_explodes),
)  # fmt: skip
