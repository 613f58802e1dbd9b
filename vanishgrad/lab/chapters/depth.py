"""Depth and the chain rule: what a product of many factors does to the gradient."""

from __future__ import annotations

from matplotlib.figure import Figure

from vanishgrad.lab.chapter import Chapter, Plate
from vanishgrad.lab.claim import at_least, at_most, claim
from vanishgrad.lab.colours import colours_of
from vanishgrad.lab.evidence import Evidence
from vanishgrad.lab.experiment import Training
from vanishgrad.lab.rows import at_first, at_last, by_condition, fit, in_layer, ratio, where
from vanishgrad.report.figures import gradient_profile, training_curves
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import View

LAST_HIDDEN = -2

WEIGHTS = Training(
    "weights", ("depth=20", "width=256", "act=tanh", "init=gaussian", "init.sigma_w=0.7,1,2", "max_steps=0"),
)  # fmt: skip
ACTIVATIONS = Training(
    "activations",
    ("depth=20", "act=sigmoid,tanh,relu", "remedy=xavier,he", "max_steps=600", "log_every=100"),
    quick=("max_steps=100",),
)
SHALLOW = Training(
    "depths", ("act=sigmoid", "init=xavier", "depth=1,2,3,5,10,20", "optim=adam", "max_steps=600"),
    quick=("max_steps=200",),
)  # fmt: skip
LARGE = Training(
    "large", ("depth=20", "width=256", "act=sigmoid,tanh,relu", "init=normal", "init.std=0.5", "max_steps=0"),
)  # fmt: skip


@claim("The gradient changes exponentially with depth", "R² of log gradient on layer", at_least(0.98))
def exponential(evidence: Evidence) -> dict[str, list[float]]:
    start = at_first(evidence["weights"]["gradients"])
    return by_condition(start, "init.sigma_w", lambda rows: fit(rows).r_squared)


@claim(
    "The decay per layer is the one that theory predicts",
    "measured minus predicted slope, absolute",
    at_most(0.02, "decades per layer"),
)
def as_predicted(evidence: Evidence) -> dict[str, list[float]]:
    start = at_first(evidence["weights"]["gradients"])
    return by_condition(
        start, "init.sigma_w", lambda rows: abs(fit(rows).slope - fit(rows, "predicted_delta_norm").slope)
    )


@claim(
    "Layers near the input learn more slowly",
    "update ratio of the last hidden layer / of the first, first step",
    at_least(10),
)
def slower_below(evidence: Evidence) -> dict[str, list[float]]:
    start = at_first(evidence["activations"]["gradients"])
    return by_condition(
        start, ["act", "remedy"],
        lambda rows: ratio(in_layer(rows, "update_ratio", LAST_HIDDEN), in_layer(rows, "update_ratio", 1)),
    )  # fmt: skip


@claim(
    "After long training the layers near the input are still near their start",
    "||W - W_0|| / ||W_0|| of the first layer at the end",
    at_most(0.01),
)
def still_there(evidence: Evidence) -> dict[str, list[float]]:
    end = at_last(evidence["activations"]["gradients"])
    return by_condition(end, ["act", "remedy"], lambda rows: in_layer(rows, "weight_drift", 1))


@claim("A deeper network learns better", "accuracy on held-out digits", at_least(0.9))
def deeper(evidence: Evidence) -> dict[str, list[float]]:
    summary = evidence["depths"]["summary"]
    return by_condition(summary, "depth", lambda row: row["final_val_accuracy"].iloc[0])


@claim(
    "Initial weights too large make the gradient explode",
    "growth from the last hidden layer to the first",
    at_least(1, "decades"),
)
def large_explodes(evidence: Evidence) -> dict[str, list[float]]:
    start = at_first(evidence["large"]["gradients"])
    return by_condition(start, "act", lambda rows: -19 * fit(rows).slope)


def _phases(evidence: Evidence) -> Figure:
    rows = evidence["weights"]["gradients"]
    return gradient_profile(rows, colours_of(rows["setting"]))


def _speed(evidence: Evidence) -> Figure:
    rows = where(evidence["activations"]["gradients"], remedy="xavier")
    colours = colours_of(rows["setting"])
    first = View(at_first(rows), "layer", "update_ratio", "first step", "||change of W|| / ||W||")
    drift = View(at_last(rows), "layer", "weight_drift", "at the end", "||W - W_0|| / ||W_0||")
    return draw_views("Who learns: one step, and the whole way", [first, drift], colours)


def _depths(evidence: Evidence) -> Figure:
    rows = evidence["depths"]["metrics"]
    return training_curves(rows, colours_of(rows["setting"]))


def _large(evidence: Evidence) -> Figure:
    rows = evidence["large"]["gradients"]
    return gradient_profile(rows, colours_of(rows["setting"]))


DEPTH = Chapter(
    "depth",
    "Depth and the chain rule",
    (WEIGHTS, ACTIVATIONS, SHALLOW, LARGE),
    (
        Plate("phases", "Straight lines on a logarithmic axis.", _phases),
        Plate("speed", "The update ratio of the first step.", _speed),
        Plate("depths", "Depth alone.", _depths),
        Plate("large", "Weights of standard deviation 0.5.", _large),
    ),
    (exponential, as_predicted, slower_below, still_there, deeper, large_explodes),
)
