"""Greedy layer-wise pretraining: a good start for every layer, found without labels."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from vanishgrad.choices.activation import Sigmoid
from vanishgrad.choices.data import Digits, load
from vanishgrad.choices.initialization import Xavier
from vanishgrad.choices.model.build import build
from vanishgrad.choices.model.feedforward import Network
from vanishgrad.choices.pretraining import RBM, Autoencoder, DenoisingAutoencoder
from vanishgrad.choices.protocol import Pretraining
from vanishgrad.engine.pretrain import LayerEpoch, first_layer_filters, pretrain_
from vanishgrad.lab.chapter import Chapter, Plate, Probe, Training
from vanishgrad.lab.claim import PROBE, Evidence, at_least, at_most, claim
from vanishgrad.lab.colours import BLUE, GREEN, GREY, ORANGE, SKY, VERMILLION, coloured, colours_of
from vanishgrad.lab.rows import (
    at_first,
    at_last,
    by_condition,
    held_out_accuracy,
    hidden,
    in_layer,
    per_seed,
    relabel,
    where,
)
from vanishgrad.report.figures import filters, pretraining, training_curves
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import View
from vanishgrad.run import Run

PRETRAININGS: tuple[Pretraining, ...] = (RBM(), Autoencoder(), DenoisingAutoencoder())
SHOWN = 36


def measure_first_layers(seed: int) -> pd.DataFrame:
    """`pretrain, setting, run, status, moment, filters, units, alike`: layer 1 as images, twice a method."""
    return pd.concat([pretrained(method, seed) for method in PRETRAININGS], ignore_index=True)


def pretrained(method: Pretraining, seed: int) -> pd.DataFrame:
    """The first layer at the start and after pretraining with one method."""
    run = Run(depth=1, act=Sigmoid(), init=Xavier(), data=Digits(scale="unit"), pretrain=method, seed=seed)
    model = build(run)
    assert isinstance(model, Network)
    before = first_layer_images(model, run)
    pretrain_(model, run, load(run.data).train_x, ignore_epoch)
    rows = [
        {"moment": moment, "filters": each[:SHOWN], "units": len(each), "alike": neighbour_correlation(each)}
        for moment, each in (("start", before), ("pretrained", first_layer_images(model, run)))
    ]
    setting = f"pretrain={method.name}"
    return pd.DataFrame(rows).assign(
        pretrain=method.name, setting=setting, run=f"{setting} {seed}", status="completed"
    )


def first_layer_images(model: Network, run: Run) -> NDArray[np.float32]:
    """A copy of the weights of layer 1, `(units, height, width)`."""
    weights: NDArray[np.float32] = first_layer_filters(model, run).mean(dim=1).numpy().copy()
    return weights


def neighbour_correlation(filters: NDArray[np.float32]) -> float:
    """The correlation between the weights of pixels side by side, over all filters."""
    left, right = filters[:, :, :-1].ravel(), filters[:, :, 1:].ravel()
    return float(np.corrcoef(left, right)[0, 1])


def ignore_epoch(_: LayerEpoch) -> None:
    """Nobody watches the epochs of a probe."""


LEARNED = 0.8  # accuracy from which a network counts as one that learns
SIGMOID = ("act=sigmoid", "init=xavier", "data.scale=unit")
METHODS = "pretrain=rbm,autoencoder,denoising_autoencoder"
SHORT = ("epochs=4", "pretrain.epochs=2")

TUNED = Training(
    "tuned",
    (*SIGMOID, "depth=5", METHODS, "pretrain.freeze=true,false", "pretrain.epochs=20", "epochs=60",
     "log_every=60"),
    quick=SHORT,
)  # fmt: skip
PLAIN = Training(
    "plain",
    ("act=sigmoid,tanh,relu", "init=xavier", "data.scale=unit", "depth=5", "epochs=60", "log_every=60"),
    quick=("epochs=4",),
)
ADAM = Training("adam", (*SIGMOID, "depth=5", "optim=adam", "epochs=60", "log_every=60"), quick=("epochs=4",))
DEEPER = Training(
    "deeper",
    (*SIGMOID, "depth=10", METHODS, "pretrain.epochs=20", "epochs=60", "log_every=60"),
    quick=SHORT,
)


@claim("A sigmoid network of five layers learns", "accuracy on held-out digits", at_least(LEARNED))
def learns(evidence: Evidence) -> dict[str, list[float]]:
    without = where(evidence["plain"]["summary"], act="sigmoid").assign(pretrain="none")
    return by_condition(pd.concat([without, tuned(evidence, "summary")]), "pretrain", held_out_accuracy)


@claim(
    "Every layer learns alone, however many are below it",
    "loss of the layer after its epochs / before, the worst layer",
    at_most(0.9),
)
def each_alone(evidence: Evidence) -> dict[str, list[float]]:
    losses = tuned(evidence, "pretraining")
    last = losses[losses["epoch"] == losses["epoch"].max()]
    return by_condition(last, "pretrain", lambda rows: rows["relative_loss"].max())


@claim(
    "Units of the first layer come to look for patterns",
    "correlation between the weights of neighbouring pixels",
    at_least(0.3),
)
def patterns(evidence: Evidence) -> dict[str, list[float]]:
    rows = evidence["first_layers"][PROBE]
    chance = where(rows, pretrain="autoencoder", moment="start").assign(pretrain="none")
    after = where(rows, moment="pretrained")
    return by_condition(pd.concat([chance, after]), "pretrain", lambda row: row["alike"].iloc[0])


@claim(
    "Pretraining brings the gradient down to the first layer",
    "its gradient before the first step of backpropagation, with / without pretraining",
    at_least(10),
)
def reaches_first(evidence: Evidence) -> dict[str, list[float]]:
    without = where(at_first(evidence["plain"]["gradients"]), act="sigmoid")
    before = dict(zip(sorted(without["seed"].unique()), per_seed(without, first_gradient), strict=True))
    start = at_first(tuned(evidence, "gradients"))
    return by_condition(start, "pretrain", lambda rows: first_gradient(rows) / before[rows["seed"].iloc[0]])


@claim(
    "Fine-tuning gets further than frozen layers allow",
    "final training loss, frozen / fine-tuned",
    at_least(1.5),
)
def further(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(
        evidence["tuned"]["summary"], "pretrain",
        lambda rows: loss_if(rows, frozen=True) / loss_if(rows, frozen=False),
    )  # fmt: skip


@claim(
    "Fine-tuning leaves the first layer as it was pretrained",
    "||W - W_0|| / ||W_0|| of the first layer at the end",
    at_most(0.1),
)
def stays(evidence: Evidence) -> dict[str, list[float]]:
    end = at_last(tuned(evidence, "gradients"))
    return by_condition(end, "pretrain", lambda rows: in_layer(rows, "weight_drift", 1))


@claim("Pretraining opens up any depth", "accuracy of ten layers on held-out digits", at_least(LEARNED))
def any_depth(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(evidence["deeper"]["summary"], "pretrain", held_out_accuracy)


@claim("Without pretraining five layers do not learn", "accuracy on held-out digits", at_most(0.5))
def needed(evidence: Evidence) -> dict[str, list[float]]:
    other = per_seed(evidence["adam"]["summary"], held_out_accuracy)
    return by_condition(evidence["plain"]["summary"], "act", held_out_accuracy) | {
        "act=sigmoid optim=adam": other
    }


@claim(
    "A pretrained sigmoid network ends better than relu from scratch",
    "difference in accuracy",
    at_least(0),
)
def better_than_relu(evidence: Evidence) -> dict[str, list[float]]:
    relu = where(evidence["plain"]["summary"], act="relu").set_index("seed")["final_val_accuracy"]
    return by_condition(
        tuned(evidence, "summary"), "pretrain", lambda row: held_out_accuracy(row) - relu[row["seed"].iloc[0]]
    )


def tuned(evidence: Evidence, table: str) -> pd.DataFrame:
    """The runs that went on with all their layers."""
    rows = evidence["tuned"][table]
    return rows[~is_frozen(rows)]


def is_frozen(rows: pd.DataFrame) -> pd.Series[bool]:
    return rows["pretrain.freeze"].astype(bool)


def loss_if(rows: pd.DataFrame, *, frozen: bool) -> float:
    return float(rows.loc[is_frozen(rows) == frozen, "final_train_loss"].iloc[0])


def first_gradient(rows: pd.DataFrame) -> float:
    return in_layer(rows, "delta_norm", 1)


def _losses(evidence: Evidence) -> Figure:
    losses = tuned(evidence, "pretraining")
    losses = losses.assign(setting="pretrain=" + losses["pretrain"])
    return pretraining(losses, colours_of(losses["setting"]))


def _gradients(evidence: Evidence) -> Figure:
    without = where(evidence["plain"]["gradients"], act="sigmoid")
    rows = tuned(evidence, "gradients")
    rows = pd.concat([relabel(without, "pretrain=none"), rows.assign(setting="pretrain=" + rows["pretrain"])])
    start = hidden(at_first(rows))
    view = View(start, "layer", "delta_norm", "before the first step", "||dLoss/dz|| (L2)")
    return draw_views("What pretraining does to the gradient", [view], colours_of(start["setting"]))


def _tuning(evidence: Evidence) -> Figure:
    rows = where(evidence["tuned"]["metrics"], pretrain="autoencoder")
    frozen, whole = rows[is_frozen(rows)], rows[~is_frozen(rows)]
    without = where(evidence["plain"]["metrics"], act="sigmoid")
    named = {"no pretraining": without, "frozen, output layer only": frozen, "fine-tuned": whole}
    both = pd.concat([relabel(rows, name) for name, rows in named.items()])
    return training_curves(both, coloured(dict(zip(named, (GREY, SKY, GREEN), strict=True))))


def _filters(evidence: Evidence) -> Figure:
    rows = evidence["first_layers"][PROBE]
    return filters(rows[(rows["pretrain"] != "denoising_autoencoder") & (rows["seed"] == 0)])


def _without(evidence: Evidence) -> Figure:
    plain = evidence["plain"]["metrics"]
    named = {f"act={act}": where(plain, act=act) for act in ("sigmoid", "tanh", "relu")}
    whole = where(tuned(evidence, "metrics"), pretrain="autoencoder")
    named["act=sigmoid pretrain=autoencoder"] = whole
    rows = pd.concat([relabel(rows, name) for name, rows in named.items()])
    return training_curves(rows, coloured(dict(zip(named, (VERMILLION, GREEN, BLUE, ORANGE), strict=True))))


PRETRAINING = Chapter(
    "pretraining",
    "Greedy layer-wise pretraining",
    (Probe("first_layers", measure_first_layers), TUNED, PLAIN, ADAM, DEEPER),
    (
        Plate("losses", "Every layer's own loss falls, that of the first the furthest.", _losses),
        Plate("filters", "Left, what chance has drawn; right, spots and edges.", _filters, is_picture=True),
        Plate("gradients", "Without pretraining the line falls to the left; the others stay up.", _gradients),
        Plate("tuning", "The loss of the frozen network levels off, the fine-tuned one's does not.", _tuning),
        Plate("without", "Tanh and relu from scratch pass the pretrained sigmoid network.", _without),
    ),
    (learns, each_alone, patterns, reaches_first, further, stays, any_depth, needed, better_than_relu),
)  # fmt: skip
