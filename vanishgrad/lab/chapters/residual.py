"""Residual networks: the 1 in the derivative, and what the branches add to it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from vanishgrad.choices.activation import ReLU
from vanishgrad.choices.data import load
from vanishgrad.choices.initialization import He
from vanishgrad.choices.model.build import build
from vanishgrad.choices.normalization import BatchNorm, NoNorm
from vanishgrad.choices.protocol import Normalization, Residual
from vanishgrad.choices.residual import (
    Fixup,
    Fork,
    HighwayShortcut,
    IdentityShortcut,
    Rezero,
    ScaledShortcut,
)
from vanishgrad.lab.chapter import Chapter, Plate, Probe, Training
from vanishgrad.lab.claim import PROBE, Evidence, at_least, at_most, claim, near
from vanishgrad.lab.colours import colours_of
from vanishgrad.lab.rows import at_first, at_last, by_condition, per_seed, ratio, where
from vanishgrad.report.figures import gradient_terms, shattered_gradients, training_curves
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import Reference, View
from vanishgrad.run import Run

DEPTH, WIDTH, EXAMPLES = 100, 256, 64
SETTINGS: tuple[tuple[Residual, Normalization], ...] = (
    (IdentityShortcut(), NoNorm()), (IdentityShortcut(), BatchNorm()), (ScaledShortcut(), NoNorm()),
    (Rezero(), NoNorm()), (Fixup(), NoNorm()), (HighwayShortcut(), NoNorm()),
)  # fmt: skip


def measure_streams(seed: int) -> pd.DataFrame:
    """`residual, norm, block, stream, gradient` of digits in a hundred layers of relu and He's weights."""
    tables = []
    for residual, norm in SETTINGS:
        run = Run(depth=DEPTH, width=WIDTH, seed=seed, act=ReLU(), init=He(), residual=residual, norm=norm)
        tables.append(measure_stream(run).assign(residual=residual.name, norm=norm.name))
    return pd.concat(tables, ignore_index=True)


def measure_stream(run: Run, examples: int = EXAMPLES) -> pd.DataFrame:
    """`block, stream, gradient` before each block of the initial network of `run`, of training examples.

    `stream` is the squared length of x, `gradient` that of dLoss/dx, both means over the examples.
    """
    data = load(run.data)
    model, seen = build(run), list[Tensor]()
    forks = [module for module in model.modules() if isinstance(module, Fork)]
    hooks = [fork.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])) for fork in forks]
    loss = functional.cross_entropy(model(data.train_x[:examples]), data.train_y[:examples])
    gradients = torch.autograd.grad(loss, seen)
    for hook in hooks:
        hook.remove()
    rows = [
        (block, mean_square(x), mean_square(g))
        for block, (x, g) in enumerate(zip(seen, gradients, strict=True), 1)
    ]
    return pd.DataFrame(rows, columns=["block", "stream", "gradient"])


def mean_square(x: Tensor) -> float:
    """The squared length of the rows of `(batch, units)`, mean over the batch."""
    return float(x.detach().double().pow(2).sum(1).mean())


HE = ("act=relu", "init=he")
THOUSAND = (
    "depth=1000", "width=16", *HE, "lr=0.01", "optim.momentum=0.9", "batch_size=128", "max_steps=40",
    "log_every=10", "eval_every=10",
)  # fmt: skip
STREAM = Probe("stream", measure_streams)
TERMS = Training("terms", ("depth=100", *HE, "residual=identity,scaled", "max_steps=0"))
DEEPEST = Training(
    "thousand", (*THOUSAND, "residual=none,identity,scaled,rezero"), 3, quick=("depth=100", "max_steps=10")
)
DEEPEST_NORMALIZED = Training(
    "thousand_normalized", (*THOUSAND, "residual=identity", "norm=batch"), 3,
    quick=("depth=100", "max_steps=10"),
)  # fmt: skip
DEGRADATION = Training(
    "degradation",
    ("depth=10,60", "width=32", *HE, "norm=batch", "residual=none,identity", "max_steps=100"),
    seeds=3,
    quick=("depth=5,30", "max_steps=15", "log_every=5"),
)
SHATTERED = Training(
    "shattered",
    (
        "depth=2,50", "width=100", *HE, "norm=batch", "residual=none,identity", "max_steps=0",
        "input_gradients=256",
    ),
    quick=("width=32", "input_gradients=64"),
)  # fmt: skip
ZERO = Training("zero", ("depth=30", *HE, "residual=rezero", "max_steps=100"), quick=("max_steps=10",))
ZEROS = Training("zeros", ("depth=30", "act=relu", "init=zeros", "max_steps=100"), quick=("max_steps=10",))


def of_setting(residual: str, norm: str = "none") -> str:
    """The name of a condition."""
    return (f"norm={norm} " if norm != "none" else "") + f"residual={residual}"


def of_streams(
    evidence: Evidence, settings: list[tuple[str, str]], number: Callable[[pd.DataFrame], float]
) -> dict[str, list[float]]:
    """`number` of the stream of each seed, in some of the settings of the probe."""
    rows = evidence["stream"][PROBE]
    return {
        of_setting(*each): per_seed(where(rows, residual=each[0], norm=each[1]), number) for each in settings
    }


def per_block(rows: pd.DataFrame, column: str) -> float:
    """The factor by which a squared length grows from block to block, upwards; the geometric mean."""
    ends = rows.sort_values("block").iloc[[0, -1]]
    first, last = ends[column]
    return float(ratio(last, first) ** (1 / (ends["block"].iloc[1] - ends["block"].iloc[0])))


@claim(
    "The gradient cannot vanish where there are shortcuts",
    "||dLoss/dx|| before the first block / before the last, at the start",
    at_least(0.1),
)
def carried(evidence: Evidence) -> dict[str, list[float]]:
    settings = [("identity", "none"), ("scaled", "none"), ("rezero", "none"), ("highway", "none")]
    return of_streams(evidence, settings, lambda rows: _below(rows) ** 0.5)


def _below(rows: pd.DataFrame) -> float:
    squares = rows.sort_values("block")["gradient"]
    return ratio(squares.iloc[0], squares.iloc[-1])


@claim(
    "The branch does not undo the 1 of the shortcut",
    "smallest cosine of the two terms over all blocks, at the start",
    at_least(-0.5),
)
def uncancelled(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(evidence["terms"]["residual_terms"], "residual", lambda rows: rows["cosine"].min())


@claim(
    "Every unscaled block doubles the squared length of what passes, up and down",
    "growth per block, geometric mean over a hundred layers",
    near(2, 0.15, "times"),  # width 256 leaves a standard error of 0.035
)
def doubled(evidence: Evidence) -> dict[str, list[float]]:
    rows = where(evidence["stream"][PROBE], residual="identity", norm="none")
    return {
        "the stream upwards": per_seed(rows, lambda own: per_block(own, "stream")),
        "its gradient downwards": per_seed(rows, lambda own: 1 / per_block(own, "gradient")),
    }


@claim(
    "The sum of many branches stays of the size of its first terms",
    "growth of the stream's squared length per block, geometric mean",
    at_most(1.2, "times"),
)
def bounded(evidence: Evidence) -> dict[str, list[float]]:
    settings = [
        ("identity", "none"), ("identity", "batch"), ("scaled", "none"), ("rezero", "none"),
        ("fixup", "none"),
    ]  # fmt: skip
    return of_streams(evidence, settings, lambda rows: per_block(rows, "stream"))


@claim(
    "With shortcuts a network of a thousand layers learns",
    "accuracy on held-out digits after some forty steps, chance being 0.1",
    at_least(0.3),
)
def thousand_layers(evidence: Evidence) -> dict[str, list[float]]:
    bare = by_condition(evidence["thousand"]["summary"], "residual", _accuracy)
    normalized = per_seed(evidence["thousand_normalized"]["summary"], _accuracy)
    return bare | {of_setting("identity", "batch"): normalized}


def _accuracy(rows: pd.DataFrame) -> float:
    """Of a run that has not diverged; such a network answers nothing, and has no accuracy."""
    return float(rows["final_val_accuracy"].iloc[0]) if rows["status"].iloc[0] != "diverged" else 0.0


@claim(
    "A layer whose gradient is exactly 0 at the start never learns",
    "largest gradient, at the end, of the weights that had none",
    at_most(0),
)
def still_zero(evidence: Evidence) -> dict[str, list[float]]:
    return {
        "residual=rezero": per_seed(evidence["zero"]["gradients"], _awakened),
        "init=zeros": per_seed(evidence["zeros"]["gradients"], _awakened),
    }


def _awakened(rows: pd.DataFrame) -> float:
    first, last = (when(rows).set_index("layer")["grad_norm"] for when in (at_first, at_last))
    return float(last[first == 0].max())


@claim(
    "With batch normalization sixty layers are as good as ten",
    "accuracy on held-out digits, 60 layers minus 10 layers",
    at_least(-0.05),
)
def no_degradation(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(evidence["degradation"]["summary"], "residual", _deep_minus_shallow)


def _deep_minus_shallow(rows: pd.DataFrame) -> float:
    accuracy = rows.sort_values("depth")["final_val_accuracy"]
    return float(accuracy.iloc[-1] - accuracy.iloc[0])


@claim(
    "Neighbouring inputs have similar gradients, at any depth",
    "correlation of the input gradients of neighbours on a line, at the start",
    at_least(0.5),
)
def smooth(evidence: Evidence) -> dict[str, list[float]]:
    neighbours = where(evidence["shattered"]["input_gradients"], lag=1)
    return by_condition(neighbours, ["depth", "residual"], lambda rows: rows["correlation"].iloc[0])


@claim(
    "In a deep network they are more alike with shortcuts than without",
    "the same correlation at depth 50, with shortcuts minus without",
    at_least(0),
)
def less_shattered(evidence: Evidence) -> list[float]:
    neighbours = where(evidence["shattered"]["input_gradients"], lag=1, depth=50)
    table = neighbours.pivot(index="seed", columns="residual", values="correlation")
    return list(table["identity"] - table["none"])


TITLES = {"stream": "the stream x", "gradient": "its gradient dLoss/dx"}


def stream_lengths(rows: pd.DataFrame, unscaled: str) -> Figure:
    """Squared lengths by block: a line per `setting`.

    Arguments:
        rows: `setting, run, status, block, stream, gradient`.
        unscaled: the setting from whose start the dashed line doubles.
    """
    own = rows[rows["setting"] == unscaled].groupby("block")
    views = [
        View(rows, "block", column, title, "squared length", references=(_doubling(own[column].median()),))
        for column, title in TITLES.items()
    ]
    title = "What a hundred layers make of the stream, at the start"
    return draw_views(title, views, colours_of(rows["setting"]))


def _doubling(lengths: pd.Series[float]) -> Reference:
    """From the smaller end of a series, which is where its way through the network begins."""
    rises = lengths.iloc[0] < lengths.iloc[-1]
    steps = np.arange(len(lengths))
    powers = 2.0 ** (steps if rises else steps[::-1])
    return Reference(pd.Series(lengths.min() * powers, lengths.index), "")


def _terms(evidence: Evidence) -> Figure:
    rows = evidence["terms"]["residual_terms"]
    return gradient_terms(rows, colours_of(rows["setting"]))


def _stream(evidence: Evidence) -> Figure:
    rows = evidence["stream"][PROBE]
    names = [of_setting(*each) for each in zip(rows["residual"], rows["norm"], strict=True)]
    runs = [f"{name} {seed}" for name, seed in zip(names, rows["seed"], strict=True)]
    return stream_lengths(rows.assign(setting=names, run=runs, status="completed"), of_setting("identity"))


def _thousand(evidence: Evidence) -> Figure:
    bare, normalized = (evidence[name]["metrics"] for name in ("thousand", "thousand_normalized"))
    named = normalized.assign(setting=of_setting("identity", "batch"), run="normalized " + normalized["run"])
    rows = pd.concat([bare, named], ignore_index=True)
    return training_curves(rows, colours_of(rows["setting"]))


def _degradation(evidence: Evidence) -> Figure:
    rows = evidence["degradation"]["metrics"]
    return training_curves(rows, colours_of(rows["setting"]))


def _shattered(evidence: Evidence) -> Figure:
    rows = evidence["shattered"]["input_gradients"]
    return shattered_gradients(rows, colours_of(rows["setting"]))


RESIDUAL = Chapter(
    "residual",
    "Residual networks",
    (STREAM, TERMS, DEEPEST, DEEPEST_NORMALIZED, DEGRADATION, SHATTERED, ZERO, ZEROS),
    (
        Plate(
            "terms", "Right: the cosine stays near 0, far from the -1 that would undo the shortcut.", _terms
        ),
        Plate(
            "stream",
            "One line climbs, along the dashed one that doubles: unscaled branches without normalization. "
            "ReZero and Fixup share the level line.",
            _stream,
        ),
        Plate(
            "thousand",
            "Three settings learn, the plain network stands still; bare shortcuts have no line, "
            "since the first pass overflows.",
            _thousand,
        ),
        Plate(
            "degradation",
            "One line does not move: sixty layers with batch normalization alone.",
            _degradation,
        ),
        Plate(
            "shattered",
            "Fifty plain layers: white noise from the nearest neighbour on. With shortcuts a little is left.",
            _shattered,
        ),
    ),
    (
        carried, uncancelled, doubled, bounded, thousand_layers, still_zero, no_degradation, smooth,
        less_shattered,
    ),
)  # fmt: skip
