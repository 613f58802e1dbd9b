"""Activations: the factor that each layer's nonlinearity puts into the gradient."""

from __future__ import annotations

from itertools import product

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from vanishgrad.choices.activation import Erf, Sigmoid, Softsign, Tanh
from vanishgrad.choices.data import Digits, load
from vanishgrad.choices.initialization import Gaussian, Xavier
from vanishgrad.choices.model.build import build
from vanishgrad.choices.protocol import Activation, Initialization
from vanishgrad.lab.chapter import Chapter, Plate, Probe, Training
from vanishgrad.lab.claim import PROBE, Evidence, at_least, at_most, between, claim, near
from vanishgrad.lab.colours import BLUE, GREEN, GREY, ORANGE, SKY, VERMILLION, coloured, colours_of
from vanishgrad.lab.rows import (
    at_first,
    by_condition,
    held_out_accuracy,
    hidden,
    log_fit,
    per_seed,
    ratio,
    steps_to,
    where,
)
from vanishgrad.modules.weights import weight_matrices
from vanishgrad.report.figures import activation_curves, training_curves
from vanishgrad.report.figures.canvas import QUIET, name_axes, note, panels
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import View
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


def measure_steepest_slopes(seed: int) -> pd.DataFrame:
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


def measure_signs(seed: int) -> pd.DataFrame:
    """`act, batch, one_sign`: the share of units whose incoming weights all have a gradient of one sign."""
    data = load(Digits())
    rows = []
    for act, batch in product(CENTRED_OR_NOT, (1, 64)):
        run = Run(depth=3, act=act, init=Xavier(), seed=seed)
        model = build(run)
        second = weight_matrices(model)[1].weight
        loss = run.criterion(model(data.train_x[:batch]), data.train_y[:batch])
        (gradient,) = torch.autograd.grad(loss, second)
        one_signed = (gradient > 0).all(1) | (gradient < 0).all(1)
        rows.append((act.name, batch, float(one_signed.double().mean())))
    return pd.DataFrame(rows, columns=["act", "batch", "one_sign"])


def measure_similarity(seed: int) -> pd.DataFrame:
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
    return by_condition(tanh, "init.sigma_w", fitted_decades_lost)


@claim(
    "Weights four times as large make up for the sigmoid's slope of a quarter",
    "loss from the last hidden layer to the first",
    between(-1, 1, "decades"),
)
def compensated(evidence: Evidence) -> list[float]:
    start = at_first(evidence["start"]["gradients"])
    return per_seed(where(start, act="sigmoid", init_sigma_w=4.0), fitted_decades_lost)


@claim(
    "Gradients vanish because units are saturated",
    "saturated outputs of networks that lose 3 decades or more",
    at_least(0.1),
)
def saturated_where_lost(evidence: Evidence) -> dict[str, list[float]]:
    start = at_first(evidence["start"]["gradients"])
    pair = [where(start, act="sigmoid"), where(start, act="tanh", init_sigma_w=0.5)]
    vanishing = pd.concat(pair).groupby("run").filter(lambda rows: fitted_decades_lost(rows) >= 3)
    return by_condition(vanishing, ["act", "init.sigma_w"], lambda rows: hidden(rows)["saturation"].mean())


@claim(
    "Saturated units make gradients vanish",
    "loss from the last hidden layer to the first, weights of sigma_w = 4",
    at_least(1, "decades"),
)
def lost_where_saturated(evidence: Evidence) -> dict[str, list[float]]:
    saturated = where(at_first(evidence["start"]["gradients"]), init_sigma_w=4.0)
    return by_condition(saturated, "act", fitted_decades_lost)


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
    return [ratio(deepest_learned(where(own, act="tanh")), deepest_learned(where(own, act="sigmoid")))
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
    return by_condition(summary, ["init", "norm"], held_out_accuracy)


def fitted_decades_lost(rows: pd.DataFrame) -> float:
    """Decades by which the gradient shrinks over the hidden layers of one run."""
    return (len(hidden(rows)) - 1) * log_fit(rows).slope


def deepest_learned(rows: pd.DataFrame) -> float:
    """The largest depth up to which every network of one seed has learned."""
    ordered = rows.sort_values("depth")
    failed = ordered.loc[~(ordered["final_val_accuracy"] >= LEARNED), "depth"]
    learned = ordered[ordered["depth"] < failed.min()] if len(failed) else ordered
    return float(learned["depth"].max()) if len(learned) else 0.0


def accuracy_over_depth(summary: pd.DataFrame, key: str, threshold: float) -> Figure:
    """Held-out accuracy over the depth, a line per value of `key`.

    Arguments:
        summary: a row per run.
        key: the column by which lines differ.
        threshold: accuracy from which a network counts as one that learns; dotted.
    """
    names = [f"{key}={value}" for value in dict.fromkeys(summary[key])]
    colours = colours_of(names).colours
    figure, ((axes,),) = panels("How deep each can be trained", 1, 1, (5.6, 3.6), names)
    for name, value in zip(names, dict.fromkeys(summary[key]), strict=True):
        reached = summary[summary[key] == value].groupby("depth")["final_val_accuracy"]
        band = reached.agg(["median", "min", "max"])
        axes.plot(band.index, band["median"], "o-", color=colours[name], label=name, markersize=4)
        axes.fill_between(band.index, band["min"], band["max"], color=colours[name], alpha=0.2, linewidth=0)
    axes.axhline(threshold, color=QUIET, linewidth=1.0, linestyle=(0, (1, 2)))
    axes.set_xscale("log")
    depths = sorted(summary["depth"].unique())
    axes.set_xticks(depths, [f"{depth:g}" for depth in depths])
    axes.minorticks_off()
    axes.set_ylim(0, 1.02)
    name_axes(axes, "digits, after training", "hidden layers", "fraction correct, held-out split")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)
    note(figure, "line: median over seeds, band: smallest to largest; dotted: counts as learned")
    return figure


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
    return accuracy_over_depth(evidence["depths"]["summary"], "act", LEARNED)


def _twenty(evidence: Evidence) -> Figure:
    return training_curves(evidence["twenty"]["metrics"], coloured(TREATED))


ACTIVATIONS = Chapter(
    "activations",
    "Activations",
    (
        Probe("slopes", measure_steepest_slopes), START, Probe("signs", measure_signs),
        Probe("similarity", measure_similarity), DEPTHS, TWENTY,
    ),
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
