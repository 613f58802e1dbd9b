"""Clipping and regularization: what bounds a step, what bounds the weights, and what neither repairs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from vanishgrad.choices.activation import ReLU, Tanh
from vanishgrad.choices.clipping import AGC, ClipByNorm, ClipByValue, Clipping, NoClip
from vanishgrad.choices.data import load
from vanishgrad.choices.initialization import Normal
from vanishgrad.choices.model.build import build
from vanishgrad.choices.protocol import Activation
from vanishgrad.choices.regularization import L1, L2, NoReg, Regularization, penalty
from vanishgrad.engine import train
from vanishgrad.lab.chapter import Chapter, Plate, Probe, Training
from vanishgrad.lab.claim import PROBE, Evidence, at_least, at_most, claim
from vanishgrad.lab.colours import BLACK, BLUE, GREEN, GREY, ORANGE, PINK, coloured, colours_of
from vanishgrad.lab.rows import (
    LAST_HIDDEN,
    at_last,
    by_condition,
    held_out_accuracy,
    hidden,
    in_layer,
    per_seed,
    ratio,
    relabel,
    where,
)
from vanishgrad.modules.weights import weight_matrices
from vanishgrad.report.figures import clipping, training_curves
from vanishgrad.report.figures.canvas import QUIET, name_axes, note, panels
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import View
from vanishgrad.run import Run

CLIPS: tuple[Clipping, ...] = (NoClip(), ClipByNorm(), ClipByValue(), AGC())
EXPLODING: tuple[tuple[Activation, float], ...] = ((Tanh(), 0.5), (ReLU(), 0.3))  # std of the weights


def measure_clipped_once(seed: int) -> pd.DataFrame:
    """The first gradient of two exploding networks, clipped: a row per activation, clip and layer.

    Columns: `act, clip, setting, run, status, layer, norm, cosine, bound, total`. `cosine` is that of the
    whole gradient with itself before clipping, `total` its norm and `bound` what that may be at most.
    """
    runs = [Run(depth=20, act=act, init=Normal(std), seed=seed) for act, std in EXPLODING]
    return pd.concat([clip_once(run, clip) for run in runs for clip in CLIPS])


def clip_once(run: Run, clip: Clipping) -> pd.DataFrame:
    """What a clip does to the gradient of the initial network."""
    model = build(run)
    parameters = [parameter.detach() for parameter in model.parameters()]
    before = gradients_of(run, model)
    after = [one.clone() for one in before]
    clip.clip_(after, parameters, len(parameters) - 2)  # weight and bias of the output layer are last
    norms = [float(one.double().norm()) for one in after if one.ndim > 1]
    table = pd.DataFrame({"layer": range(1, len(norms) + 1), "norm": norms})
    return table.assign(
        act=run.act.name, clip=clip.name, setting=f"clip={clip.name}", run=f"{clip.name} {run.seed}",
        status="completed", cosine=cosine(before, after), total=float(flat(after).norm()),
        bound=clip.largest_norm(sum(one.numel() for one in after)),
    )  # fmt: skip


def gradients_of(run: Run, model: nn.Module) -> list[Tensor]:
    """Of the first 64 examples, with respect to every parameter."""
    data = load(run.data)
    loss = run.criterion(model(data.train_x[:64]), data.train_y[:64])
    return list(torch.autograd.grad(loss, list(model.parameters())))


def flat(tensors: Iterable[Tensor]) -> Tensor:
    """One vector of all elements."""
    return torch.cat([one.double().flatten() for one in tensors])


def cosine(one: list[Tensor], other: list[Tensor]) -> float:
    a, b = flat(one), flat(other)
    return float(a @ b / (a.norm() * b.norm()))


SIZES = tuple(10 ** (exponent / 4) for exponent in range(-20, 2))
PENALTIES: tuple[Regularization, ...] = (NoReg(), L1(3e-3), L2(1e-2))


def measure_sizes(seed: int) -> pd.DataFrame:
    """`reg, size, under, zero`: the share of the weights under a size after training, and of exact zeros."""
    tables = []
    for reg in PENALTIES:
        run = Run(depth=2, width=32, reg=reg, seed=seed, epochs=40, measure="gradients", log_every=1000)
        weights = flat([one.weight.detach().abs() for one in weight_matrices(train(run).model)])
        under = [float((weights < size).double().mean()) for size in SIZES]
        zero = float((weights == 0).double().mean())
        tables.append(pd.DataFrame({"size": SIZES, "under": under}).assign(reg=reg.name, zero=zero))
    return pd.concat(tables)


def measure_penalties(seed: int) -> pd.DataFrame:
    """`scope, error`: `vanishgrad.penalty` against the sum of squares and its gradient 2 w, relative."""
    model = build(Run(depth=3, seed=seed, dtype="float64"))
    matrices = weight_matrices(model)
    parts = {"": [one.weight for one in matrices], matrices[1].name: [matrices[1].weight]}
    rows = [(scope or "model", penalty_error(model, scope, weights)) for scope, weights in parts.items()]
    return pd.DataFrame(rows, columns=["scope", "error"])


def penalty_error(model: nn.Module, scope: str, weights: Sequence[Tensor]) -> float:
    """The larger of the relative errors of value and gradient."""
    value = penalty(model, scope)
    expected = float(sum((weight.detach() ** 2).sum() for weight in weights))
    gradients = list(torch.autograd.grad(value, weights))
    wrong = [one - 2 * weight.detach() for one, weight in zip(gradients, weights, strict=True)]
    slope = float(flat(wrong).norm() / flat(gradients).norm())
    return max(abs(float(value.detach()) - expected) / expected, slope)


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
    limited = rows[rows["bound"] < math.inf]
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
    return by_condition(evidence["recurrent"]["summary"], "clip", held_out_accuracy)


@claim(
    "When gradients explode, weights grow with them",
    "largest finite ||W|| of a run / ||W_0||, weights of std 0.2",
    at_least(2),
)
def grow(evidence: Evidence) -> dict[str, list[float]]:
    rows = where(evidence["clipped"]["gradients"], init_std=0.2)
    return by_condition(rows, "clip", weight_growth)


@claim(
    "A penalty limits the size of the weights",
    "||W|| at the end, with the penalty / without",
    at_most(0.9),
)
def limited(evidence: Evidence) -> dict[str, list[float]]:
    return {
        f"{name} network reg={reg}": final_norm_ratio(evidence, name, f"{name}_{reg}")
        for name in UNPENALISED
        for reg in STRENGTHS
    }


@claim("A penalty cures exploding gradients", "accuracy on held-out digits", at_least(LEARNED))
def penalty_cures(evidence: Evidence) -> dict[str, list[float]]:
    return {
        f"reg={reg}": per_seed(evidence[f"exploding_{reg}"]["summary"], held_out_accuracy)
        for reg in STRENGTHS
    }


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


def weight_growth(rows: pd.DataFrame) -> float:
    """The largest finite weight norm of one run over the first."""
    whole = whole_norm(rows)["weight_norm"]
    return float(whole[whole < math.inf].max() / whole.iloc[0])


def whole_norm(rows: pd.DataFrame) -> pd.DataFrame:
    """`run, setting, seed, status, step, weight_norm`: of all layers together."""
    keys = ["run", "setting", "seed", "status", "step"]
    squared = rows.assign(weight_norm=rows["weight_norm"] ** 2)
    total = squared.groupby(keys, sort=False)["weight_norm"].sum(min_count=1) ** 0.5
    return total.reset_index()


def final_norm_ratio(evidence: Evidence, without: str, given: str) -> list[float]:
    """The final weight norm with a penalty over that of the same seed without."""
    ends = [whole_norm(at_last(evidence[name]["gradients"])) for name in (given, without)]
    both = ends[0].merge(ends[1], on="seed", suffixes=("", "_without"))
    return (both["weight_norm"] / both["weight_norm_without"]).tolist()


def _clips(evidence: Evidence) -> pd.DataFrame:
    """The clipped gradients of the network whose layers are the most unequal."""
    rows = where(evidence["clipped_once"][PROBE], act="tanh")
    return rows[rows["clip"] != "none"]


def weight_sizes(rows: pd.DataFrame, tiny: float) -> Figure:
    """The share of the weights under a size, over that size: a line per penalty.

    Columns: `reg`, `size`, `under`, a row per seed; `tiny` is the size that is marked.
    """
    names = [f"reg={reg}" for reg in dict.fromkeys(rows["reg"])]
    colours = colours_of(names).colours
    figure, ((axes,),) = panels("Sizes of the weights after training", 1, 1, (5.6, 3.6), names)
    for name in names:
        under = rows[rows["reg"] == name.removeprefix("reg=")].groupby("size")["under"]
        band = under.agg(["median", "min", "max"])
        axes.plot(band.index, band["median"], color=colours[name], label=name, linewidth=1.8)
        axes.fill_between(band.index, band["min"], band["max"], color=colours[name], alpha=0.2, linewidth=0)
    axes.axvline(tiny, color=QUIET, linewidth=1.0, linestyle=(0, (1, 2)))
    axes.set_xscale("log")
    axes.set_ylim(0, 1.02)
    name_axes(axes, "all layers", "size |w|", "fraction of the weights that are smaller")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=9, frameon=False)
    note(figure, f"line: median over seeds, band: smallest to largest; dotted: {tiny:g}")
    return figure


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
    right = relabel(right, "").assign(setting="init=he clip=" + right["clip"])
    rows = pd.concat([_mild(evidence), right])
    names = list(dict.fromkeys(rows["setting"]))
    colours = (GREY, BLUE, ORANGE, GREEN, BLACK, PINK)
    return training_curves(rows, coloured(dict(zip(names, colours, strict=True))))


def _norms(evidence: Evidence) -> Figure:
    views = []
    for title in UNPENALISED:
        runs = {"reg=none": title} | {f"reg={reg}": f"{title}_{reg}" for reg in STRENGTHS}
        rows = [whole_norm(relabel(evidence[name]["gradients"], label)) for label, name in runs.items()]
        views.append(View(pd.concat(rows), "step", "weight_norm", f"{title} network", "||W|| of all layers"))
    return draw_views("A penalty pulls back slowly", views, colours_of(views[0].frame["setting"]))


def _sizes(evidence: Evidence) -> Figure:
    return weight_sizes(evidence["sizes"][PROBE], TINY)


CLIPPING = Chapter(
    "clipping",
    "Clipping and regularization",
    (
        Probe("clipped_once", measure_clipped_once), CLIPPED, RIGHT, RECURRENT, *UNPENALISED.values(),
        *PENALISED.values(), Probe("sizes", measure_sizes), Probe("penalties", measure_penalties),
    ),
    (
        Plate(
            "layers",
            "Clipping by norm moves a line down as it is; the others bend it. Adaptive clipping leaves the "
            "output layer alone, as its paper says.",
            _layers,
        ),
        Plate("clipping", "Left what backpropagation gave, right what the optimizer got.", _clipping),
        Plate("curves", "Weights of std 0.2, and next to them weights of the right size.", _curves),
        Plate("norms", "Left, the jump comes at once; what a penalty does about it takes its time.", _norms),
        Plate("sizes", "With L1 most weights are left of the dotted line, with L2 next to none.", _sizes),
    ),
    (
        finite, bounded, direction, first_largest, even, clip_cures, recurrent, grow, limited, penalty_cures,
        sparse, zeros, one_call,
    ),
)  # fmt: skip
