"""What to use: all remedies against one failing network, alone and in pairs, and where none is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vanishgrad.choices.activation import Sigmoid, Tanh
from vanishgrad.choices.initialization import Gaussian
from vanishgrad.cures.search import relative_costs
from vanishgrad.description import applied
from vanishgrad.lab.chapter import Chapter, Plate, Probe, Training
from vanishgrad.lab.claim import PROBE, Evidence, at_least, at_most, claim
from vanishgrad.lab.rows import by_condition, per_seed
from vanishgrad.prediction import Chi, chi_around, predict
from vanishgrad.report.figures import flow_and_learning, trainability_map
from vanishgrad.report.figures.canvas import QUIET, name_axes, note, panels
from vanishgrad.report.figures.maps import PhasePlane, phase_diagram
from vanishgrad.report.figures.palette import COLOURS
from vanishgrad.run import Run

FAILING = ("depth=20", "width=32", "act=sigmoid", "max_steps=500", "log_every=100", "eval_every=100")
SHORT = ("max_steps=80",)
STEPS = 500
PRETRAINING_EPOCHS = 3
SIGMA_B = 0.2236  # sigma_b^2 = 0.05, as in Schoenholz et al. 2017
LEARNED = 0.8  # accuracy; an answer that ignores the digit has 0.1
WITHIN, BEYOND = 0.6, 1.6  # of the depth that theory allows

ACTIVATIONS = ("relu", "leaky_relu", "prelu", "elu", "selu", "tanh")
STARTS = ("xavier", "he", "critical", "pretraining")
STRUCTURES = ("batchnorm", "layernorm", "residual", "rezero")
OPTIMIZERS = ("adam", "rmsprop", "adagrad")
BOUNDS = ("clipping", "l1", "l2", "small_rate")
NO_COST = ("pretraining",)  # once, before the first step


def _with(act: str) -> list[str]:
    """The failing setting with another activation."""
    return [f"act={act}" if text.startswith("act=") else text for text in FAILING]


ALONE = Training("alone", (
    *FAILING, "remedy=" + ",".join(("none", *ACTIVATIONS, *STARTS[:3], *STRUCTURES, *OPTIMIZERS, *BOUNDS)),
), quick=SHORT)  # fmt: skip
PRETRAINED = Training("pretrained", (
    *FAILING, "remedy=pretraining", f"remedy.epochs={PRETRAINING_EPOCHS}",
), quick=(*SHORT, "remedy.epochs=1"))  # fmt: skip
PAIRS = {
    "relu": Training("relu_with", (*_with("relu"), "remedy=he,batchnorm,residual,adam"), quick=SHORT),
    "tanh": Training("tanh_with", (*_with("tanh"), "remedy=xavier,critical"), quick=SHORT),
    "batchnorm": Training(
        "batchnorm_with", (*FAILING, "norm=batch", "remedy=tanh,he,residual,adam"), quick=SHORT
    ),
    "residual": Training("residual_with", (*FAILING, "residual=identity", "remedy=tanh,adam"), quick=SHORT),
}
MAP = Training(
    "map",
    ("act=tanh", "init=gaussian", "init.sigma_w=0.8,1,1.2,1.35,1.6,1.9,2.3", f"init.sigma_b={SIGMA_B}",
     "depth=5,10,20,40", "width=100", "lr=0.02", "epochs=15", "measure=gradients", "log_every=1000"),
    quick=("epochs=2", "depth=5,10,20", "init.sigma_w=0.8,1.35,2.3"),
)  # fmt: skip


def measure_step_costs(seed: int) -> pd.DataFrame:
    """`remedy, cost`: seconds per step of each remedy, divided by those of the untreated network."""
    base = Run(depth=20, width=32, act=Sigmoid(), seed=seed)
    names = [
        name for name in (*ACTIVATIONS, *STARTS, *STRUCTURES, *OPTIMIZERS, *BOUNDS) if name not in NO_COST
    ]
    relative = relative_costs(base, [applied(base, f"remedy={name}") for name in names], STEPS)
    return pd.DataFrame({"remedy": names, "cost": relative})


COSTS = Probe("costs", measure_step_costs, seeds=5)


def results(evidence: Evidence) -> pd.DataFrame:
    """`remedy, kind, seed, accuracy, slope` of all that was tried; `slope` is of the first gradients."""
    alone = pd.concat([evidence[name]["summary"] for name in ("alone", "pretrained")])
    parts = [_columns(alone, alone.get("remedy", "pretraining"))]
    for first, training in PAIRS.items():
        rows = evidence[training.name]["summary"]
        parts.append(_columns(rows, first + " + " + rows["remedy"]))
    return pd.concat(parts, ignore_index=True)


def _columns(summary: pd.DataFrame, names: pd.Series[str] | str) -> pd.DataFrame:
    table = pd.DataFrame({
        "remedy": names, "seed": summary["seed"], "accuracy": summary["final_val_accuracy"].fillna(0.0),
        "slope": summary["gradient_slope"],
    })  # fmt: skip
    table["remedy"] = table["remedy"].fillna("pretraining")
    kind = np.where(table["remedy"].str.contains(" + ", regex=False), "pair", "alone")
    return table.assign(kind=np.where(table["remedy"] == "none", "none", kind))


def accuracies_of(evidence: Evidence, names: Sequence[str]) -> Mapping[str, list[float]]:
    """The accuracy of every seed by remedy."""
    rows = results(evidence)
    return {
        f"remedy={name}": rows[rows["remedy"] == name].sort_values("seed")["accuracy"].tolist()
        for name in names
    }


@claim("Another activation cures it", "accuracy on held-out digits", at_least(LEARNED))
def activation_cures(evidence: Evidence) -> Mapping[str, list[float]]:
    return accuracies_of(evidence, ACTIVATIONS)


@claim("Better initial weights cure it", "accuracy on held-out digits", at_least(LEARNED))
def start_cures(evidence: Evidence) -> Mapping[str, list[float]]:
    return accuracies_of(evidence, STARTS)


@claim("Normalization or a shortcut cures it", "accuracy on held-out digits", at_least(LEARNED))
def structure_cures(evidence: Evidence) -> Mapping[str, list[float]]:
    return accuracies_of(evidence, STRUCTURES)


@claim("An adaptive optimizer cures it", "accuracy on held-out digits", at_least(LEARNED))
def optimizer_cures(evidence: Evidence) -> Mapping[str, list[float]]:
    return accuracies_of(evidence, OPTIMIZERS)


@claim(
    "Clipping, penalties and a small rate cannot cure vanishing gradients",
    "accuracy on held-out digits",
    at_most(0.3),
)
def bounds_do_not_cure(evidence: Evidence) -> Mapping[str, list[float]]:
    return accuracies_of(evidence, BOUNDS)


@claim(
    "Two remedies are at least as good as the better one of them",
    "accuracy of the pair minus that of the better one alone",
    at_least(-0.02),
)
def pairs_add_up(evidence: Evidence) -> Mapping[str, list[float]]:
    rows = results(evidence).set_index(["remedy", "seed"])["accuracy"]
    gains: dict[str, list[float]] = {}
    for name in dict.fromkeys(rows.index.get_level_values("remedy")):
        first, _, second = str(name).partition(" + ")
        if second:
            better = np.maximum(rows.loc[first], rows.loc[second])
            gains[str(name)] = (rows.loc[name] - better).tolist()
    return gains


@claim(
    "Who has level gradients at the start learns better",
    "rank correlation of steepness and accuracy over all remedies",
    at_most(-0.5),
)
def level_gradients_learn(evidence: Evidence) -> list[float]:
    rows = results(evidence).dropna(subset="slope")
    return per_seed(rows, lambda own: own["slope"].abs().corr(own["accuracy"], method="spearman"))


@claim("A cure costs next to nothing", "time of a step / of an untreated one", at_most(1.5))
def cures_are_cheap(evidence: Evidence) -> Mapping[str, list[float]]:
    kept = ("relu", "selu", "batchnorm", "layernorm", "residual", "adam")
    rows = evidence["costs"][PROBE]
    return by_condition(rows[rows["remedy"].isin(kept)], "remedy", lambda own: own["cost"].iloc[0])


@claim(
    "Networks within the depth that theory allows can be trained",
    f"lowest accuracy of those with at most {WITHIN:g} of that depth",
    at_least(0.7),
)
def within_the_limit(evidence: Evidence) -> list[float]:
    rows = evidence["map"]["trainability"]
    inside = rows[rows["depth"] <= WITHIN * rows["trainable_depth"]]
    return per_seed(inside, lambda own: own["reached"].min())


@claim(
    "Networks beyond the depth that theory allows cannot be trained",
    f"highest accuracy of those with at least {BEYOND:g} times that depth",
    at_most(0.5),
)
def beyond_the_limit(evidence: Evidence) -> list[float]:
    rows = evidence["map"]["trainability"]
    outside = rows[rows["depth"] >= BEYOND * rows["trainable_depth"]]
    return per_seed(outside, lambda own: own["reached"].max())


SINGLE_COLOUR, PAIR_COLOUR, UNTREATED_COLOUR = COLOURS[0], COLOURS[2], COLOURS[1]
ROW = 0.27  # inches


def remedy_ranking(reached: pd.DataFrame, costs: pd.DataFrame) -> Figure:
    """What every remedy reaches, a dot per seed and a bar for the mean, the best on top; and its cost.

    Arguments:
        reached: `remedy, kind (none, alone or pair), seed, accuracy`.
        costs: `remedy, seed, cost`: seconds per step, divided by the untreated network's.
    """
    order = list(reached.groupby("remedy")["accuracy"].mean().sort_values().index)
    figure, axes = panels("Remedies for one failing network", 1, 2, (4.6, ROW * len(order) + 0.8), order)
    left, right = axes[0]
    for place, name in enumerate(order):
        rows = reached[reached["remedy"] == name]
        colour = {"none": UNTREATED_COLOUR, "pair": PAIR_COLOUR}.get(str(rows["kind"].iloc[0]), SINGLE_COLOUR)
        _dots(left, rows["accuracy"], place, colour)
        _dots(right, costs.loc[costs["remedy"] == name, "cost"], place, colour)
    left.set_yticks(range(len(order)), order, fontsize=9)
    right.set_yticks(range(len(order)), [])
    for each in (left, right):
        each.set_ylim(-0.6, len(order) - 0.4)
    left.set_xlim(-0.02, 1.02)
    right.axvline(1.0, color=QUIET, linewidth=1.0, linestyle=(0, (4, 3)))
    name_axes(left, "what it reaches", "accuracy on held-out digits", "")
    name_axes(right, "what a step costs", "time / untreated", "")
    note(figure, "dot: one seed, bar: mean; blue: one remedy, green: two, orange: untreated; costs of pairs "
                 "are not measured")  # fmt: skip
    return figure


def _dots(axes: Axes, values: pd.Series[float], place: int, colour: str) -> None:
    if values.empty:
        return
    axes.plot(values, [place] * len(values), "o", color=colour, markersize=4.5, alpha=0.6)
    axes.plot(values.mean(), place, "|", color=colour, markersize=13, markeredgewidth=2.5)


def _ranking(evidence: Evidence) -> Figure:
    return remedy_ranking(results(evidence), evidence["costs"][PROBE])


def _flow(evidence: Evidence) -> Figure:
    return flow_and_learning(evidence["alone"]["flow"])


def _map(evidence: Evidence) -> Figure:
    return trainability_map(evidence["map"]["trainability"])


def _phases(evidence: Evidence) -> Figure:
    """Of the activation of the map; computed, not measured."""
    run = replace(Run(depth=20, act=Tanh()), init=Gaussian(1.0, SIGMA_B))
    prediction = predict(run)
    chi = chi_around(run, prediction)
    plane = PhasePlane(*chi, (1.0, SIGMA_B)) if isinstance(chi, Chi) else None
    return phase_diagram("Mean-field theory of tanh, sigma_w = 1", plane, prediction.profile)


REMEDIES = Chapter(
    "remedies",
    "What to use",
    (ALONE, PRETRAINED, *PAIRS.values(), COSTS, MAP),
    (
        Plate("ranking", "All remedies against one network that does not learn: twenty layers of sigmoid. "
              "Its own row is the orange one.", _ranking),
        Plate("flow", "Every remedy is a point: on the dotted line its gradient is as large in the first "
              "layer as in the last, at the top it learns. The top left is empty.", _flow),
        Plate("phases", "Below the line gradients vanish, above it they explode; on it they arrive. The star "
              "is the setting whose profile is on the right.", _phases),
        Plate("map", "What tanh networks reach after training, by depth and initial weights; the dashed line "
              "is drawn from theory alone.", _map, is_picture=True),
    ),
    (
        activation_cures, start_cures, structure_cures, optimizer_cures, bounds_do_not_cure, pairs_add_up,
        level_gradients_learn, cures_are_cheap, within_the_limit, beyond_the_limit,
    ),
)  # fmt: skip
