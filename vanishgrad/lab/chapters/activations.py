"""Activations: the factor that each layer's nonlinearity puts into the gradient."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.lab.chapter import Chapter, Plate, Probe, Training
from vanishgrad.lab.claim import PROBE, Evidence, at_least, at_most, between, claim, near
from vanishgrad.lab.colours import BLUE, GREEN, GREY, ORANGE, SKY, VERMILLION, coloured
from vanishgrad.lab.figures.over_depth import over_depth
from vanishgrad.lab.probes.activations import DEEP, DRAWS, NETWORKS, signs, similarity, slopes
from vanishgrad.lab.rows import (
    accuracy,
    at_first,
    by_condition,
    fit,
    hidden,
    per_seed,
    ratio,
    steps_to,
    where,
)
from vanishgrad.report.figures import activation_curves, training_curves
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import View

LEARNED = 0.8  # accuracy from which a network counts as one that learns
FOUR = {
    "act=sigmoid init.sigma_w=1": VERMILLION, "act=sigmoid init.sigma_w=4": ORANGE,
    "act=tanh init.sigma_w=1": GREEN, "act=tanh init.sigma_w=4": BLUE,
}  # fmt: skip
THREE = dict(zip((name for *_, name in NETWORKS), (VERMILLION, ORANGE, GREEN), strict=True))
TREATED = {
    "init=xavier norm=none": GREY, "init=xavier norm=batch": BLUE,
    "init=critical norm=none": ORANGE, "init=critical norm=batch": SKY,
}  # fmt: skip


START = Training(
    "start",
    (f"depth={DEEP}", "width=256", "act=sigmoid,tanh", "init=gaussian",
     "init.sigma_w=0.5,1,2,4", "max_steps=0"),
)  # fmt: skip
DEPTHS = Training(
    "depths",
    ("act=relu,sigmoid,tanh,softsign", "init=xavier", "depth=1,2,3,5,10,20", "eval_every=20"),
    quick=("max_steps=100", "depth=2,5"),
)  # fmt: skip
TWENTY = Training(
    "twenty",
    (f"depth={DEEP}", "act=sigmoid", "init=xavier,critical", "norm=none,batch", "eval_every=50"),
    quick=("max_steps=100",),
)  # fmt: skip


@claim(
    "No slope passes its bound: a quarter for the sigmoid, 1 for tanh",
    f"largest slope at {DRAWS:,} random inputs and at 0 / the bound",
    near(1, 1e-9),
)
def bounded(evidence: Evidence) -> dict[str, list[float]]:
    rows = evidence["slopes"][PROBE]
    return by_condition(rows, "act", lambda row: ratio(row["steepest"].iloc[0], row["bound"].iloc[0]))


@claim(
    "Tanh lets gradients through twenty layers",
    "loss from the last hidden layer to the first",
    between(-1, 1, "decades"),
)
def tanh_lets_through(evidence: Evidence) -> dict[str, list[float]]:
    tanh = where(at_first(evidence["start"]["gradients"]), act="tanh")
    return by_condition(tanh, "init.sigma_w", lost)


@claim(
    "Weights four times as large make up for the sigmoid's slope of a quarter",
    "loss from the last hidden layer to the first",
    between(-1, 1, "decades"),
)
def compensated(evidence: Evidence) -> list[float]:
    start = at_first(evidence["start"]["gradients"])
    return per_seed(where(start, act="sigmoid", init_sigma_w=4.0), lost)


@claim(
    "Gradients vanish because units are saturated",
    "saturated outputs of networks that lose 3 decades or more",
    at_least(0.1),
)
def saturated_where_lost(evidence: Evidence) -> dict[str, list[float]]:
    start = at_first(evidence["start"]["gradients"])
    pair = [where(start, act="sigmoid"), where(start, act="tanh", init_sigma_w=0.5)]
    vanishing = pd.concat(pair).groupby("run").filter(lambda rows: lost(rows) >= 3)
    return by_condition(vanishing, ["act", "init.sigma_w"], lambda rows: hidden(rows)["saturation"].mean())


@claim(
    "Saturated units make gradients vanish",
    "loss from the last hidden layer to the first, weights of sigma_w = 4",
    at_least(1, "decades"),
)
def lost_where_saturated(evidence: Evidence) -> dict[str, list[float]]:
    saturated = where(at_first(evidence["start"]["gradients"]), init_sigma_w=4.0)
    return by_condition(saturated, "act", lost)


@claim(
    "All weights into a unit move the same way",
    "units of layer 2 whose weight gradients have one sign",
    at_least(0.99),
)
def one_way(evidence: Evidence) -> dict[str, list[float]]:
    rows = evidence["signs"][PROBE]
    return by_condition(rows, ["act", "batch"], lambda row: row["one_sign"].iloc[0])


@claim(
    "Deep in a random network all inputs look alike",
    "cosine between the outputs of layer 20 for different digits",
    at_least(0.99),
)
def alike(evidence: Evidence) -> dict[str, list[float]]:
    last = evidence["similarity"][PROBE].query(f"layer == {DEEP}")
    groups = last.groupby("setting", sort=False)["cosine"]
    return {str(setting): cosines.tolist() for setting, cosines in groups}


@claim(
    "Tanh learns at depths at which the sigmoid has stopped",
    "deepest network that learns, tanh / sigmoid",
    at_least(2),
)
def deeper(evidence: Evidence) -> list[float]:
    summary = evidence["depths"]["summary"]
    return [ratio(deepest(where(own, act="tanh")), deepest(where(own, act="sigmoid")))
            for _, own in summary.groupby("seed")]  # fmt: skip


@claim(
    "Tanh learns faster than the sigmoid",
    f"steps to an accuracy of {LEARNED:g}, sigmoid / tanh",
    at_least(2),
)
def faster(evidence: Evidence) -> dict[str, list[float]]:
    metrics = evidence["depths"]["metrics"]
    shallow = metrics[metrics["depth"] <= 3]

    def times(rows: pd.DataFrame) -> float:
        sigmoid, tanh = (
            steps_to(where(rows, act=act), "val_accuracy", LEARNED) for act in ("sigmoid", "tanh")
        )
        return sigmoid / tanh

    return by_condition(shallow, "depth", times)


@claim("A sigmoid network of twenty layers cannot be trained", "accuracy on held-out digits", at_most(0.2))
def untrainable(evidence: Evidence) -> dict[str, list[float]]:
    summary = evidence["twenty"]["summary"]
    return by_condition(summary, ["init", "norm"], accuracy)


def lost(rows: pd.DataFrame) -> float:
    """Decades by which the gradient shrinks over the hidden layers of one run."""
    return (len(hidden(rows)) - 1) * fit(rows).slope


def deepest(rows: pd.DataFrame) -> float:
    """The largest depth up to which every network of one seed has learned."""
    ordered = rows.sort_values("depth")
    failed = ordered.loc[~(ordered["final_val_accuracy"] >= LEARNED), "depth"]
    learned = ordered[ordered["depth"] < failed.min()] if len(failed) else ordered
    return float(learned["depth"].max()) if len(learned) else 0.0


def _curves(evidence: Evidence) -> Figure:
    return activation_curves(evidence["depths"]["activations"])


def _two_things(evidence: Evidence) -> Figure:
    start = hidden(at_first(evidence["start"]["gradients"]))
    rows = start[start["init.sigma_w"].isin([1.0, 4.0])]
    views = [
        View(rows, "layer", "delta_norm", "gradient of the initial network", "||dLoss/dz|| (L2)"),
        View(rows, "layer", "saturation", "saturated there", "fraction of outputs", False),
    ]
    return draw_views("Lost gradients and flat ends are two things", views, coloured(FOUR))


def _alike(evidence: Evidence) -> Figure:
    rows = evidence["similarity"][PROBE]
    view = View(
        rows, "layer", "cosine", "initial network, pairs of digits", "cosine of outputs", False,
        fixed=(-0.05, 1.05),
    )  # fmt: skip
    return draw_views("What is not centred makes all inputs alike", [view], coloured(THREE))


def _depths(evidence: Evidence) -> Figure:
    return over_depth(evidence["depths"]["summary"], "act", LEARNED)


def _twenty(evidence: Evidence) -> Figure:
    return training_curves(evidence["twenty"]["metrics"], coloured(TREATED))


ACTIVATIONS = Chapter(
    "activations",
    "Activations",
    (Probe("slopes", slopes), START, Probe("signs", signs), Probe("similarity", similarity), DEPTHS, TWENTY),
    (
        Plate("curves", "The peaks on the right: a quarter for the sigmoid, 1 for the others.", _curves),
        Plate(
            "two_things",
            "Left: how much of the gradient gets down to the first layer. Right: how many outputs lie in the "
            "flat ends. The lowest line on the left and the highest on the right are not the same network.",
            _two_things,
        ),
        Plate("alike", "Where a line is at 1, the outputs are as good as the same for all digits.", _alike),
        Plate("depths", "Where each line leaves the top, training stops getting anywhere.", _depths),
        Plate("twenty", "Twenty layers of sigmoid, four times: only one line stays at chance.", _twenty),
    ),
    (
        bounded, tanh_lets_through, compensated, saturated_where_lost, lost_where_saturated, one_way, alike,
        deeper, faster, untrainable,
    ),
)  # fmt: skip
