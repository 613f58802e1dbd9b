"""Recurrence: one matrix at every time step, and what gates make of it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from vanishgrad.lab.chapter import Chapter, Plate, Training
from vanishgrad.lab.claim import Evidence, at_least, at_most, claim
from vanishgrad.lab.colours import colours_of
from vanishgrad.lab.rows import by_condition, per_seed, ratio, where
from vanishgrad.report.figures import gate_activity, gradient_through_time, predicted_frames, training_curves
from vanishgrad.report.figures.series import draw_views
from vanishgrad.report.figures.view import View

SEEDS = 3
LENGTH = 30
START = "model.recurrent_init"
ADD = (
    f"data.length={LENGTH}", "data.train_size=20000", "width=32", "optim=adam", "clip=norm", "max_steps=400",
)  # fmt: skip

ADDING = Training(
    "adding", ("model=rnn,gru,lstm", "data=adding", *ADD, "lr=0.01", "log_every=40", "eval_every=40"), SEEDS,
    quick=("data.length=12", "data.train_size=5000", "max_steps=40", "width=16"),
)  # fmt: skip
STARTS = Training(
    "starts",
    (
        "model=rnn", f"{START}=null,orthogonal,identity", "act=relu", "data=adding", *ADD, "lr=0.003",
        "log_every=40", "eval_every=40",
    ),
    SEEDS, quick=("data.length=12", "data.train_size=5000", "max_steps=40", "width=16"),
)  # fmt: skip
FORGETTING = Training(
    "forgetting",
    (
        "model=lstm", "model.forget_bias=0,1,3", "data=adding", "data.length=50", "data.train_size=1000",
        "width=32", "max_steps=0",
    ),
    SEEDS,
)  # fmt: skip
EXPLODING = Training(
    "exploding",
    (
        "model=rnn", "act=relu", "init=gaussian", "init.sigma_w=1.6", "clip=none,norm", "data=adding",
        "data.length=50", "data.train_size=10000", "width=32", "optim=adam", "lr=0.003", "max_steps=200",
        "log_every=5", "eval_every=20",
    ),
    SEEDS, quick=("max_steps=30",),
)  # fmt: skip
TEXT = Training(
    "text",
    (
        "model=rnn,lstm", "data=text", "data.length=32", "data.train_size=100000", "width=64", "optim=adam",
        "lr=0.01", "clip=norm", "batch_size=32", "max_steps=200", "log_every=20", "eval_every=100",
    ),
    SEEDS, quick=("max_steps=20", "width=16", "eval_every=20", "data.length=8"),
)  # fmt: skip
FRAMES = Training(
    "frames",
    (
        "model=conv_lstm", "model.kernel=3", "model.patch=2", "data=moving_digits", "data.digits=1",
        "data.given=5", "data.predicted=5", "data.train_size=500", "data.held_out=50", "init=orthogonal",
        "width=12", "optim=adam", "lr=0.01", "batch_size=16", "max_steps=250", "log_every=50",
    ),
    SEEDS, quick=("max_steps=5", "data.train_size=64", "data.held_out=16", "width=4"),
)  # fmt: skip


def through_time(rows: pd.DataFrame, column: str = "grad_norm") -> float:
    """What arrives at the first time step of a run at one moment, of what there is at the last."""
    ordered = rows.sort_values("t")[column]
    return ratio(ordered.iloc[0], ordered.iloc[-1])


def of_baseline(rows: pd.DataFrame) -> float:
    """The held-out loss of a run at the end, of that of the best constant answer; infinite if it diverged."""
    loss = float(rows["final_val_loss"].iloc[0])
    is_known = rows["status"].iloc[0] != "diverged" and math.isfinite(loss)
    return loss / float(rows["baseline_val_loss"].iloc[0]) if is_known else math.inf


@claim(
    "In a plain recurrent network the gradient vanishes through time",
    "||dLoss/dh_t|| at the first step / at the last, at the start",
    at_most(1e-3),
)
def vanishes(evidence: Evidence) -> list[float]:
    rows = where(evidence["adding"]["time_gradients"], model="rnn", moment="start")
    return per_seed(rows, through_time)


@claim(
    "Gates carry the gradient through time",
    "||dLoss/dh_t|| at the first step / at the last",
    at_least(0.1),
)
def carried(evidence: Evidence) -> dict[str, list[float]]:
    rows = evidence["adding"]["time_gradients"]
    gated = rows[rows["model"] != "rnn"]
    names = {"start": "before training", "end": "after training"}
    return {
        f"{condition.replace('model=', '')} {names[moment]}": values
        for moment in names
        for condition, values in by_condition(where(gated, moment=moment), "model", through_time).items()
    }


@claim(
    "A recurrent network learns to add two numbers it has seen within thirty steps",
    "held-out squared error / that of the mean",
    at_most(0.1),
)
def adds(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(evidence["adding"]["summary"], "model", of_baseline)


@claim(
    "Without gates the two numbers cannot be added",
    "held-out squared error / that of the mean, plain network",
    at_least(0.5),
)
def ungated_fails(evidence: Evidence) -> dict[str, list[float]]:
    usual = where(evidence["adding"]["summary"], model="rnn")
    starts = evidence["starts"]["summary"].fillna({START: "null"})
    others = by_condition(starts, START, of_baseline)
    return {"act=tanh": per_seed(usual, of_baseline)} | {
        f"act=relu {name.removeprefix('model.')}": values for name, values in others.items()
    }


@claim(
    "The cell of an LSTM carries the gradient on unchanged",
    "factor of ||dLoss/dc_t|| from step to step, geometric mean, at the start",
    at_least(0.9),
)
def constant_error(evidence: Evidence) -> dict[str, list[float]]:
    rows = where(evidence["forgetting"]["time_gradients"], moment="start")
    return by_condition(rows, "model.forget_bias", cell_factor)


@claim(
    "The factor of the cell's gradient is the value of the forget gate",
    "measured factor minus sigmoid(bias), absolute, at the start",
    at_most(0.1),
)
def forget_gate(evidence: Evidence) -> dict[str, list[float]]:
    rows = where(evidence["forgetting"]["time_gradients"], moment="start")
    return by_condition(rows, "model.forget_bias", lambda own: abs(cell_factor(own) - _gate(own)))


def cell_factor(rows: pd.DataFrame) -> float:
    """The geometric mean of the factors between two time steps; the first and the last fifth left out."""
    inner = rows.sort_values("t").iloc[len(rows) // 5 : -len(rows) // 5]
    slope, _ = np.polyfit(inner["t"], np.log(inner["cell_grad_norm"]), 1)
    return math.exp(-slope)


def _gate(rows: pd.DataFrame) -> float:
    return 1 / (1 + math.exp(-float(rows["model.forget_bias"].iloc[0])))


@claim(
    "Where gradients explode through time, a recurrent network learns nothing",
    "held-out squared error at the end / that of the mean",
    at_least(1),
)
def explodes(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(evidence["exploding"]["summary"], "clip", of_baseline)


@claim(
    "A recurrent network knows more of a text than how often each character comes",
    "bits per character below those of the frequencies",
    at_least(1, "bits"),
)
def reads(evidence: Evidence) -> dict[str, list[float]]:
    summary = evidence["text"]["summary"]
    return by_condition(summary, "model", lambda rows: -_nats(rows, "final_val_loss", "baseline_val_loss"))


def _nats(rows: pd.DataFrame, column: str, other: str) -> float:
    """How much larger a loss is, in bits."""
    return float(rows[column].iloc[0] - rows[other].iloc[0]) / math.log(2)


@claim(
    "Gates read text better than a plain network",
    "bits per character of the plain network minus those of the LSTM",
    at_least(0, "bits"),
)
def gates_read_better(evidence: Evidence) -> list[float]:
    summary = evidence["text"]["summary"].pivot(index="seed", columns="model", values="final_val_loss")
    return list((summary["rnn"] - summary["lstm"]) / math.log(2))


@claim(
    "A convolutional LSTM predicts frames better than the mean image",
    "cross-entropy above that of the true frame itself / the same of the mean image",
    at_most(1),
)
def predicts_frames(evidence: Evidence) -> dict[str, list[float]]:
    rows = evidence["frames"]["frame_losses"]
    ends = {"the next frame": rows["frame"].min(), "the last frame": rows["frame"].max()}
    return {name: per_seed(where(rows, frame=frame), _excess) for name, frame in ends.items()}


def _excess(rows: pd.DataFrame) -> float:
    costs = rows.iloc[0]
    floor = costs["floor_cross_entropy"]
    return float((costs["cross_entropy"] - floor) / (costs["mean_frame_cross_entropy"] - floor))


@claim(
    "It predicts them better than the last frame, shown again",
    "squared error of the predicted frames / of the copy, one held-out example",
    at_most(1),
)
def beats_copy(evidence: Evidence) -> list[float]:
    return per_seed(evidence["frames"]["predicted_frames"], lambda rows: over_copy(rows.iloc[0]))


def over_copy(example: pd.Series) -> float:
    """The squared error of the predicted frames over that of the last given frame, of one example."""
    true, copy = example["true"], example["given"][-1]
    return float(((example["predicted"] - true) ** 2).sum() / ((copy - true) ** 2).sum())


def _time(evidence: Evidence) -> Figure:
    rows = evidence["adding"]["time_gradients"]
    return gradient_through_time(rows, colours_of(rows["setting"]))


def _adding(evidence: Evidence) -> Figure:
    rows = evidence["adding"]["metrics"]
    return training_curves(rows, colours_of(rows["setting"]))


def _cells(evidence: Evidence) -> Figure:
    rows = where(evidence["forgetting"]["time_gradients"], moment="start")
    view = View(rows, "t", "cell_grad_norm", "at the start", "||dLoss/dc_t|| (L2)")
    return draw_views("Gradient of the cells through time", [view], colours_of(rows["setting"]))


def _gates(evidence: Evidence) -> Figure:
    rows = evidence["adding"]["gates"]
    return gate_activity(rows, colours_of(rows["setting"]))


def _exploding(evidence: Evidence) -> Figure:
    rows = evidence["exploding"]["metrics"]
    return training_curves(rows, colours_of(rows["setting"]))


def _frames(evidence: Evidence) -> Figure:
    rows = evidence["frames"]["predicted_frames"].assign(setting="foretold")
    return predicted_frames(rows, colours_of(rows["setting"]))


RECURRENCE = Chapter(
    "recurrence",
    "Recurrence",
    (ADDING, STARTS, FORGETTING, EXPLODING, TEXT, FRAMES),
    (
        Plate("time", "Left: all lines fall towards the first step. Right: the gated ones are level.", _time),
        Plate("adding", "The plain network stays on the dashed line: it answers with the mean.", _adding),
        Plate("cells", "The larger the forget gate's bias, the flatter the line.", _cells),
        Plate("gates", "Learning opens the GRU's update gate, which then keeps the state.", _gates),
        Plate("exploding", "Without clipping the loss stays above that of the mean.", _exploding),
        Plate("frames", "Above what happened, below what was foretold.", _frames, is_picture=True),
    ),
    (
        vanishes, carried, adds, ungated_fails, constant_error, forget_gate, explodes, reads,
        gates_read_better, predicts_frames, beats_copy,
    ),
)  # fmt: skip
