"""Clipping and regularization: what bounds a step, what bounds the weights, and what neither repairs."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.lab.chapter import Chapter, Plate, Probe, Training
from vanishgrad.lab.claim import PROBE, Evidence, at_least, at_most, claim
from vanishgrad.lab.colours import BLACK, BLUE, GREEN, GREY, ORANGE, PINK, coloured, colours_of
from vanishgrad.lab.figures.weight_sizes import weight_sizes
from vanishgrad.lab.probes.clipped_gradient import EXPLODING, clipped_once
from vanishgrad.lab.probes.penalties import penalties
from vanishgrad.lab.probes.trained_weights import sizes
from vanishgrad.lab.rows import (
    LAST_HIDDEN,
    accuracy,
    at_last,
    by_condition,
    hidden,
    in_layer,
    per_seed,
    ratio,
    renamed,
    where,
)
from vanishgrad.report.figures import clipping, training_curves
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import View

DEEP = "depth=20"
LEARNED = 0.8  # accuracy from which a network counts as one that learns
TINY = 1e-3  # a weight as good as zero


CLIPPED = Training(
    "clipped",
    (DEEP, "init=normal", "init.std=0.2,0.3", "clip=none,norm,value,agc"),
    quick=("max_steps=20",),
)  # fmt: skip
RIGHT = Training("right", (DEEP, "init=he", "clip=none,norm"), quick=("max_steps=20",))
RECURRENT = Training(
    "recurrent",
    ("model=rnn", "width=32", "data=temporal_order", "data.length=20", "init=gaussian", "lr=0.05",
     "clip=none,norm,value,agc", "max_steps=500", "eval_every=100"),
    quick=("max_steps=30",),
)  # fmt: skip
WILD = (DEEP, "act=tanh", "init=normal", "init.std=0.5")
TAME = ("depth=5", "act=tanh", "init=xavier", "epochs=40")
UNPENALISED = {
    "exploding": Training("exploding", (*WILD, "reg=none"), quick=("max_steps=20",)),
    "healthy": Training("healthy", (*TAME, "reg=none"), quick=("max_steps=20",)),
}
STRENGTHS = {"l1": ("reg=l1", "reg.strength=0.001"), "l2": ("reg=l2", "reg.strength=0.01")}
PENALISED = {
    f"{name}_{reg}": Training(f"{name}_{reg}", (*setting, *strength), quick=("max_steps=20",))
    for name, setting in (("exploding", WILD), ("healthy", TAME))
    for reg, strength in STRENGTHS.items()
}


@claim("Clipping keeps a run finite", "share of exploding networks whose training ends", at_least(1))
def finite(evidence: Evidence) -> dict[str, list[float]]:
    summary = evidence["clipped"]["summary"]
    return by_condition(summary, "clip", lambda rows: (rows["status"] == "completed").mean())


@claim("Clipping bounds the step", "norm of the clipped gradient / what is allowed", at_most(1 + 1e-5))
def bounded(evidence: Evidence) -> dict[str, list[float]]:
    rows = _clips(evidence)
    limited = rows[rows["bound"].notna()]
    return by_condition(limited, "clip", lambda own: own["total"].iloc[0] / own["bound"].iloc[0])


@claim(
    "Clipping keeps the direction of the gradient",
    "cosine between the gradient before and after",
    at_least(0.999),
)
def direction(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(_clips(evidence), "clip", lambda rows: rows["cosine"].iloc[0])


@claim(
    "Exploding gradients are largest near the input",
    "weight gradient of the first layer / of the last hidden one, nothing clipped",
    at_least(10),
)
def first_largest(evidence: Evidence) -> dict[str, list[float]]:
    rows = where(evidence["clipped_once"][PROBE], clip="none")
    return by_condition(
        rows, "act", lambda own: in_layer(own, "norm", 1) / in_layer(own, "norm", LAST_HIDDEN)
    )


@claim(
    "Clipping evens out the layers",
    "weight gradient of the largest hidden layer / of the smallest, tanh, after clipping",
    at_most(10),
)
def even(evidence: Evidence) -> dict[str, list[float]]:
    inner = hidden(_clips(evidence))
    return by_condition(inner, "clip", lambda rows: ratio(rows["norm"].max(), rows["norm"].min()))


@claim(
    "Clipping cures exploding gradients",
    "accuracy on held-out digits, the best of three clips",
    at_least(LEARNED),
)
def clip_cures(evidence: Evidence) -> dict[str, list[float]]:
    clips = evidence["clipped"]["summary"].query("clip != 'none'")
    return by_condition(clips, "init.std", lambda rows: rows["final_val_accuracy"].max())


@claim("A recurrent network learns reliably", "accuracy on held-out sequences", at_least(LEARNED))
def recurrent(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(evidence["recurrent"]["summary"], "clip", accuracy)


@claim(
    "When gradients explode, weights grow with them",
    "largest finite ||W|| of a run / ||W_0||, weights of std 0.2",
    at_least(2),
)
def grow(evidence: Evidence) -> dict[str, list[float]]:
    rows = where(evidence["clipped"]["gradients"], init_std=0.2)
    return by_condition(rows, "clip", growth)


@claim(
    "A penalty limits the size of the weights",
    "||W|| at the end, with the penalty / without",
    at_most(0.9),
)
def limited(evidence: Evidence) -> dict[str, list[float]]:
    return {
        f"{name} network reg={reg}": paired(evidence, name, f"{name}_{reg}")
        for name in UNPENALISED
        for reg in STRENGTHS
    }


@claim("A penalty cures exploding gradients", "accuracy on held-out digits", at_least(LEARNED))
def penalty_cures(evidence: Evidence) -> dict[str, list[float]]:
    return {f"reg={reg}": per_seed(evidence[f"exploding_{reg}"]["summary"], accuracy) for reg in STRENGTHS}


@claim("A penalty makes most weights tiny", f"weights under {TINY:g} after training", at_least(0.5))
def sparse(evidence: Evidence) -> dict[str, list[float]]:
    rows = evidence["sizes"][PROBE]
    nearest = rows[(rows["size"] / TINY - 1).abs() < 0.01]
    return by_condition(nearest, "reg", lambda row: row["under"].iloc[0])


@claim("L1 makes weights exactly zero", "weights that are 0 after training", at_least(0.1))
def zeros(evidence: Evidence) -> list[float]:
    return per_seed(where(evidence["sizes"][PROBE], reg="l1"), lambda rows: rows["zero"].iloc[0])


@claim(
    "`vanishgrad.penalty` is the sum of squares of a model or of one part",
    "relative error of value and gradient",
    at_most(1e-12),
)
def one_call(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(evidence["penalties"][PROBE], "scope", lambda row: row["error"].iloc[0])


def growth(rows: pd.DataFrame) -> float:
    """The largest finite weight norm of one run over the first."""
    whole = whole_norm(rows)["weight_norm"]
    return float(whole[whole < math.inf].max() / whole.iloc[0])


def whole_norm(rows: pd.DataFrame) -> pd.DataFrame:
    """`run, setting, seed, status, step, weight_norm`: of all layers together."""
    keys = ["run", "setting", "seed", "status", "step"]
    squared = rows.assign(weight_norm=rows["weight_norm"] ** 2)
    total = squared.groupby(keys, sort=False)["weight_norm"].sum(min_count=1) ** 0.5
    return total.reset_index()


def paired(evidence: Evidence, without: str, given: str) -> list[float]:
    """The final weight norm with a penalty over that of the same seed without."""
    ends = [whole_norm(at_last(evidence[name]["gradients"])) for name in (given, without)]
    both = ends[0].merge(ends[1], on="seed", suffixes=("", "_without"))
    return (both["weight_norm"] / both["weight_norm_without"]).tolist()


def _clips(evidence: Evidence) -> pd.DataFrame:
    """The clipped gradients of the network whose layers are the most unequal."""
    rows = where(evidence["clipped_once"][PROBE], act="tanh")
    return rows[rows["clip"] != "none"]


def _layers(evidence: Evidence) -> Figure:
    rows = evidence["clipped_once"][PROBE]
    views = [
        View(where(rows, act=act.name), "layer", "norm", f"act={act.name}", "||dLoss/dW|| (L2)")
        for act, _ in EXPLODING
    ]
    return draw_views("What each clipping leaves of a gradient", views, colours_of(rows["setting"]))


def _clipping(evidence: Evidence) -> Figure:
    rows = _mild(evidence)
    return clipping(rows, colours_of(rows["setting"]))


def _mild(evidence: Evidence) -> pd.DataFrame:
    rows = where(evidence["clipped"]["metrics"], init_std=0.2)
    return rows.assign(setting="clip=" + rows["clip"])


def _curves(evidence: Evidence) -> Figure:
    right = evidence["right"]["metrics"]
    right = renamed(right, "").assign(setting="init=he clip=" + right["clip"])
    rows = pd.concat([_mild(evidence), right])
    names = list(dict.fromkeys(rows["setting"]))
    colours = (GREY, BLUE, ORANGE, GREEN, BLACK, PINK)
    return training_curves(rows, coloured(dict(zip(names, colours, strict=True))))


def _norms(evidence: Evidence) -> Figure:
    views = []
    for title in UNPENALISED:
        runs = {"reg=none": title} | {f"reg={reg}": f"{title}_{reg}" for reg in STRENGTHS}
        rows = [whole_norm(renamed(evidence[name]["gradients"], label)) for label, name in runs.items()]
        views.append(View(pd.concat(rows), "step", "weight_norm", f"{title} network", "||W|| of all layers"))
    return draw_views("A penalty pulls back slowly", views, colours_of(views[0].frame["setting"]))


def _sizes(evidence: Evidence) -> Figure:
    return weight_sizes(evidence["sizes"][PROBE], TINY)


CLIPPING = Chapter(
    "clipping",
    "Clipping and regularization",
    (
        Probe("clipped_once", clipped_once), CLIPPED, RIGHT, RECURRENT, *UNPENALISED.values(),
        *PENALISED.values(), Probe("sizes", sizes), Probe("penalties", penalties),
    ),
    (
        Plate(
            "layers",
            "Clipping by norm moves a line down as it is; the others bend it. Adaptive clipping leaves the "
            "output layer alone, as its paper says.",
            _layers,
        ),
        Plate("clipping", "Left what backpropagation gave, right what the optimizer got.", _clipping),
        Plate("curves", "Weights of std 0.2, and beside them weights of the right size.", _curves),
        Plate("norms", "Left, the jump comes at once; what a penalty does about it takes its time.", _norms),
        Plate("sizes", "With L1 most weights are left of the dotted line, with L2 next to none.", _sizes),
    ),
    (
        finite, bounded, direction, first_largest, even, clip_cures, recurrent, grow, limited, penalty_cures,
        sparse, zeros, one_call,
    ),
)  # fmt: skip
