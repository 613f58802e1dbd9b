"""Rectifiers: activations with a slope of 1 for half of their inputs, and what becomes of the other half."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from functools import partial

import pandas as pd
import torch
from torch import Tensor, nn

from vanishgrad.choices.activation import ELU, GELU, LeakyReLU, PReLU, ReLU, Sigmoid, Tanh
from vanishgrad.choices.initialization import He
from vanishgrad.choices.protocol import Activation
from vanishgrad.engine import train
from vanishgrad.lab.chapter import Chapter, Probe, Training
from vanishgrad.lab.chapters.rectifiers_figures import PLATES
from vanishgrad.lab.claim import Evidence, at_least, at_most, between, claim
from vanishgrad.lab.rows import (
    at_first,
    at_last,
    by_condition,
    dead_share,
    decades_lost,
    hidden,
    in_layer,
    last_value,
    per_seed,
    ratio,
    steps_to,
    where,
)
from vanishgrad.modules.weights import Linear
from vanishgrad.run import Run
from vanishgrad.streams import stream

TIMED: tuple[Activation, ...] = (ReLU(), LeakyReLU(), ELU(), GELU(), Tanh(), Sigmoid())
BATCH, UNITS, REPETITIONS = 256, 512, 25
PRELU_START, PRELU_DEPTH, PRELU_STEPS = 0.25, 5, 600


def measure_activation_costs(seed: int) -> pd.DataFrame:
    """`act, part, seconds`: a pass forward and backward, through the `activation` alone or its whole `layer`.

    The median of repetitions that take turns, in one thread, for a batch of 256 in 512 units.
    """
    generator = stream(seed, "costs")
    x = torch.randn(BATCH, UNITS, generator=generator)
    layer = Linear(UNITS, UNITS)
    nn.init.normal_(layer.weight, std=UNITS**-0.5, generator=generator)
    nn.init.zeros_(layer.bias)
    parts: dict[tuple[str, str], Callable[[], None]] = {}
    for act in TIMED:
        parts[act.name, "activation"] = _pass(act.module(), x)
        parts[act.name, "layer"] = _pass(nn.Sequential(layer, act.module()), x)
    rows = [(*name, seconds) for name, seconds in _medians(parts).items()]
    return pd.DataFrame(rows, columns=["act", "part", "seconds"])


def _pass(module: nn.Module, x: Tensor) -> Callable[[], None]:
    wanted = x.clone().requires_grad_()
    handed = torch.ones_like(x)

    def once() -> None:
        torch.autograd.grad(module(wanted), [wanted, *module.parameters()], handed)

    return once


def _medians(parts: dict[tuple[str, str], Callable[[], None]]) -> dict[tuple[str, str], float]:
    """Seconds of each part; all take turns, so that whatever else the machine does strikes all alike."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        taken: dict[tuple[str, str], list[float]] = {name: [] for name in parts}
        for _ in range(REPETITIONS):
            for name, once in parts.items():
                start = time.perf_counter()
                once()
                taken[name].append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def measure_learned_slopes(seed: int) -> pd.DataFrame:
    """`layer, slope`: the slopes for negative inputs that PReLU has learned."""
    run = Run(
        depth=PRELU_DEPTH, act=PReLU(PRELU_START), init=He(), lr=0.1, max_steps=PRELU_STEPS, epochs=100,
        log_every=PRELU_STEPS, measure="gradients", seed=seed,
    )  # fmt: skip
    learned = [part for part in train(run).model.modules() if isinstance(part, nn.PReLU)]
    rows = [(layer, float(part.weight.detach())) for layer, part in enumerate(learned, 1)]
    return pd.DataFrame(rows, columns=["layer", "slope"])


LEARNED = 0.9  # of the held-out digits
DEPTH = 20

FLOW = Training(
    "flow",
    (f"depth={DEPTH}", "width=256", "act=sigmoid,relu", "init=default,xavier,he", "max_steps=1"),
)  # fmt: skip
SPEED = Training(
    "speed",
    ("depth=1,3", "act=sigmoid,tanh,relu", "init=he", "max_steps=440", "eval_every=10", "log_every=500"),
    quick=("max_steps=300", "act=sigmoid,relu"),
)  # fmt: skip
ACCURACY = Training(
    "accuracy",
    ("depth=3", "act=relu,leaky_relu,prelu,elu,selu,gelu", "init=he", "max_steps=600", "log_every=200"),
    quick=("max_steps=100", "act=relu,elu"),
)  # fmt: skip
STATISTICS = Training(
    "statistics",
    (f"depth={DEPTH}", "width=512", "batch_size=256", "act=relu,leaky_relu,elu,selu", "init=lecun",
     "max_steps=0"),
    quick=("width=256", "act=relu,elu"),
)  # fmt: skip
SELU = Training(
    "selu",
    (f"depth={DEPTH}", "width=512", "batch_size=256", "act=selu", "init=lecun,he,default", "max_steps=0"),
    quick=("width=256",),
)  # fmt: skip
BORN_DEAD = Training(
    "born_dead",
    ("depth=3", "lr=0.01", "epochs=20", "init=gaussian", "init.sigma_w=0.5", "init.sigma_b=4.0",
     "dead_every=50", "log_every=100",
     "remedy=none,small_rate,xavier,he,adagrad,batchnorm,leaky_relu,prelu,elu"),
    quick=("epochs=2", "remedy=none,he,batchnorm,elu"),
)  # fmt: skip
KILLED = Training(
    "killed",
    ("depth=2", "act=relu", "init=he", "optim=adam", "lr=0.1", "data.scale=unit", "epochs=20",
     "dead_every=50", "log_every=100",
     "remedy=none,small_rate,xavier,adagrad,batchnorm,leaky_relu,prelu,elu"),
    quick=("epochs=2", "remedy=none,small_rate,elu"),
)  # fmt: skip
COSTS, SLOPES = Probe("costs", measure_activation_costs), Probe("slopes", measure_learned_slopes)


@claim(
    "A ReLU does not let the gradient vanish",
    "loss from the last hidden layer to the first, 20 layers, at the start",
    at_most(1, "decades"),
)
def passes(evidence: Evidence) -> dict[str, list[float]]:
    start = where(at_first(evidence["flow"]["gradients"]), act="relu")
    return by_condition(start, "init", decades_lost)


@claim(
    "All layers of a ReLU network learn at the same speed",
    "largest / smallest update ratio of the hidden layers, first step",
    at_most(10),
)
def alike(evidence: Evidence) -> dict[str, list[float]]:
    start = where(at_first(evidence["flow"]["gradients"]), act="relu")
    return by_condition(start, "init", speed_ratio)


def speed_ratio(rows: pd.DataFrame) -> float:
    speeds = hidden(rows)["update_ratio"]
    return ratio(speeds.max(), speeds.min())


@claim(
    "A ReLU network learns faster",
    f"steps to {LEARNED:.0%} accuracy with the other activation / with ReLU",
    at_least(2),
)
def faster(evidence: Evidence) -> dict[str, list[float]]:
    metrics = evidence["speed"]["metrics"]
    others = [name for name in metrics["act"].unique() if name != "relu"]
    return {
        f"than={other} {depth}": values
        for other in others
        for depth, values in by_condition(
            where_any(metrics, ("relu", other)), "depth", partial(slowdown_without_relu, other=other)
        ).items()
    }


def where_any(rows: pd.DataFrame, acts: tuple[str, ...]) -> pd.DataFrame:
    """The rows of several activations."""
    return rows[rows["act"].isin(acts)]


def slowdown_without_relu(rows: pd.DataFrame, other: str) -> float:
    """Steps with another activation over steps with relu; 0 where relu never gets there."""
    slow, quick = (steps_to(where(rows, act=act), "val_accuracy", LEARNED) for act in (other, "relu"))
    return slow / quick if math.isfinite(quick) else 0.0


@claim(
    "ReLU is cheaper to compute than the sigmoid",
    "time forward and backward, sigmoid / ReLU",
    at_least(1.2),
)
def cheaper(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(
        evidence["costs"]["probe"], "part",
        lambda rows: ratio(*(where(rows, act=act)["seconds"].iloc[0] for act in ("sigmoid", "relu"))),
    )  # fmt: skip


@claim(
    "Leaky, parametric and exponential units learn better than ReLU",
    "accuracy minus that of ReLU, a healthy network",
    at_least(0.005),
)
def better(evidence: Evidence) -> dict[str, list[float]]:
    summary = evidence["accuracy"]["summary"]
    relu = where(summary, act="relu").set_index("seed")["final_val_accuracy"]
    gained = summary.assign(gain=summary["final_val_accuracy"] - summary["seed"].map(relu))
    return by_condition(gained[gained["act"] != "relu"], "act", lambda row: row["gain"].iloc[0])


@claim(
    "Unlucky initial values kill units before the first step",
    "units dead on all training data",
    at_least(0.2),
)
def born_dead(evidence: Evidence) -> dict[str, list[float]]:
    rows = at_first(evidence["born_dead"]["dead_units"])
    return by_condition(rows[rows["remedy"].isin(["none", "he", "xavier"])], "remedy", dead_share)


@claim(
    "Units born dead: the remedy makes the network learn",
    "accuracy on held-out digits",
    at_least(LEARNED),
)
def born_dead_learns(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(
        evidence["born_dead"]["metrics"], "remedy", lambda rows: last_value(rows, "val_accuracy")
    )


@claim(
    "Units born dead: the remedy leaves none",
    "units dead on all training data at the end",
    at_most(0.01),
)
def born_dead_revived(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(at_last(evidence["born_dead"]["dead_units"]), "remedy", dead_share)


@claim(
    "A learning rate too high kills units for good",
    "units dead on all training data at the end",
    at_least(0.5),
)
def killed(evidence: Evidence) -> dict[str, list[float]]:
    rows = at_last(evidence["killed"]["dead_units"])
    return by_condition(rows[rows["remedy"].isin(["none", "xavier"])], "remedy", dead_share)


@claim(
    "Units killed by the rate: the remedy makes the network learn",
    "accuracy on held-out digits",
    at_least(LEARNED),
)
def killed_learns(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(
        evidence["killed"]["metrics"], "remedy", lambda rows: last_value(rows, "val_accuracy")
    )


@claim(
    "An activation with negative outputs brings the mean output near zero",
    "|mean| / deviation of the outputs, relative to ReLU, 20th layer",
    at_most(0.5),
)
def centred(evidence: Evidence) -> dict[str, list[float]]:
    start = where(at_first(evidence["statistics"]["gradients"]), layer=DEPTH)
    deepest = start.assign(offset=start["act_mean"].abs() / start["act_std"])
    relu = where(deepest, act="relu").set_index("seed")["offset"]
    relative = deepest.assign(relative=deepest["offset"] / deepest["seed"].map(relu))
    return by_condition(relative[relative["act"] != "relu"], "act", lambda row: row["relative"].iloc[0])


@claim(
    "SELU keeps variance 1 through the layers",
    "variance of the outputs of the 20th layer, at the start",
    between(0.8, 1.5),
)
def self_normalizing(evidence: Evidence) -> dict[str, list[float]]:
    start = at_first(evidence["selu"]["gradients"])
    return by_condition(start, "init", lambda rows: in_layer(rows, "act_std", -2) ** 2)


@claim(
    "PReLU learns its slopes",
    "farthest slope from where it started, relative",
    at_least(0.1),
)
def slopes_move(evidence: Evidence) -> list[float]:
    return per_seed(
        evidence["slopes"]["probe"],
        lambda rows: float((rows["slope"] - PRELU_START).abs().max()) / PRELU_START,
    )


@claim(
    "PReLU's slopes come out larger near the input (He et al. 2015)",
    "slope of the first layer minus that of the last",
    at_least(0),
)
def larger_below(evidence: Evidence) -> list[float]:
    return per_seed(evidence["slopes"]["probe"], lambda rows: rows["slope"].iloc[0] - rows["slope"].iloc[-1])


RECTIFIERS = Chapter(
    "rectifiers",
    "Rectifiers",
    (FLOW, SPEED, ACCURACY, STATISTICS, SELU, BORN_DEAD, KILLED, COSTS, SLOPES),
    PLATES,
    (
        passes, alike, faster, cheaper, better, born_dead, born_dead_learns, born_dead_revived, killed,
        killed_learns, centred, self_normalizing, slopes_move, larger_below,
    ),
)  # fmt: skip
