"""Batch normalization: what it cures, what it makes worse, and why."""

from __future__ import annotations

import math
from functools import partial

import pandas as pd

from vanishgrad.diagnosis.layers import gradient_slope
from vanishgrad.lab.chapter import Chapter, Probe, Training
from vanishgrad.lab.chapters.batchnorm_figures import PLATES
from vanishgrad.lab.chapters.batchnorm_probes import (
    FACTOR,
    measure_company,
    measure_modes,
    measure_scales,
    measure_shifts,
)
from vanishgrad.lab.claim import Evidence, at_least, at_most, claim, near
from vanishgrad.lab.rows import (
    at_first,
    at_last,
    by_condition,
    decades_lost,
    hidden,
    last_value,
    ratio,
    steps_to,
    where,
)

SPEED = Training(
    "speed",
    ("depth=10", "act=sigmoid,tanh,relu", "init=default,he", "norm=none,batch", "lr=0.1", "max_steps=400",
     "eval_every=10", "log_every=100"),
    quick=("max_steps=100", "depth=5", "act=sigmoid,relu"),
)  # fmt: skip
FLOW = Training(
    "flow",
    ("depth=10,50", "width=128", "batch_size=128", "act=sigmoid,tanh,relu", "init=xavier", "norm=none,batch",
     "max_steps=0"),
    quick=("act=sigmoid,relu",),
)  # fmt: skip
NORMS = Training(
    "norms",
    ("depth=30", "width=512", "batch_size=256", "act=relu", "init=he", "norm=none,batch,layer,group,rms",
     "max_steps=0"),
    quick=("width=256", "batch_size=128", "norm=batch,layer"),
)  # fmt: skip
PLACES = Training(
    "places",
    ("depth=30", "width=512", "batch_size=256", "act=relu", "init=he", "norm=batch", "norm.position=pre,post",
     "max_steps=0"),
    quick=("width=256", "batch_size=128"),
)  # fmt: skip
SHORTCUTS = Training(
    "shortcuts",
    ("depth=60", "act=relu", "init=he", "norm=batch", "residual=none,identity", "max_steps=300",
     "eval_every=50", "log_every=100"),
    quick=("max_steps=20",),
)  # fmt: skip
RATES = Training(
    "rates",
    ("depth=5", "act=tanh,relu", "init=he", "norm=none,batch", "lr=0.01,0.03,0.1,0.3,1,3,10", "max_steps=300",
     "log_every=50", "eval_every=50"),
    quick=("max_steps=40", "lr=0.1,1"),
)  # fmt: skip
WEIGHTS = Training(
    "weights",
    ("depth=5", "act=sigmoid,tanh", "norm=none,batch", "init=normal", "init.std=0.01,0.1,1,10",
     "max_steps=300", "log_every=50", "eval_every=50"),
    quick=("max_steps=40", "init.std=0.01,1"),
)  # fmt: skip
SMALL, MIDDLE, LARGE = (
    Training(
        f"batches_of_{size}",
        ("depth=3", "act=relu", "init=he", "norm=batch,layer,group", f"batch_size={size}", f"lr={lr}",
         "epochs=4", "log_every=1000", "measure=gradients"),
        quick=("epochs=1", "norm=batch,layer"),
    )
    for size, lr in ((2, 0.005), (8, 0.02), (32, 0.08))
)  # fmt: skip
SCALES, COMPANY = Probe("scales", measure_scales), Probe("company", measure_company)
MODES, SHIFTS = Probe("modes", measure_modes), Probe("shifts", measure_shifts)

EXPERIMENTS = (
    SPEED,
    FLOW,
    NORMS,
    PLACES,
    SHORTCUTS,
    RATES,
    WEIGHTS,
    SMALL,
    MIDDLE,
    LARGE,
    SCALES,
    COMPANY,
    MODES,
    SHIFTS,
)


LEARNED = 0.9  # of the held-out digits
GROWTH = math.sqrt(math.pi / (math.pi - 1))  # of the norm per layer (Yang et al. 2019)
BIG_STEP = 1.0  # a learning rate


def slowdown_without_norm(rows: pd.DataFrame) -> float:
    """Steps without batch norm over steps with it; `rows` are the metrics of the two twins."""
    plain, batch = (steps_to(where(rows, norm=norm), "val_accuracy", LEARNED) for norm in ("none", "batch"))
    return plain / batch if math.isfinite(batch) else 0.0


@claim(
    "Batch normalization makes training faster",
    f"steps to {LEARNED:.0%} accuracy without it / with it, same rate",
    at_least(2),
)
def faster(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(evidence["speed"]["metrics"], ["act", "init"], slowdown_without_norm)


def _unevenness(evidence: Evidence, depth: int) -> dict[str, list[float]]:
    start = where(at_first(evidence["flow"]["gradients"]), depth=depth, norm="batch")
    return by_condition(start, "act", lambda rows: abs(decades_lost(rows)))


@claim(
    "It keeps the gradient at one size in all layers: ten of them",
    "first against last hidden layer, at the start",
    at_most(1, "decades"),
)
def level_in_ten(evidence: Evidence) -> dict[str, list[float]]:
    return _unevenness(evidence, 10)


@claim(
    "It keeps the gradient at one size in all layers: fifty of them",
    "first against last hidden layer, at the start",
    at_most(1, "decades"),
)
def level_in_fifty(evidence: Evidence) -> dict[str, list[float]]:
    return _unevenness(evidence, 50)


def growth_per_layer(rows: pd.DataFrame) -> float:
    """The factor by which the gradient norm grows per layer towards the input."""
    return float(10.0 ** -gradient_slope(rows["layer"], rows["delta_norm"]))


@claim(
    "Before ReLU it makes the gradient explode, by sqrt(pi / (pi - 1)) = 1.211 per layer",
    "growth of the gradient norm per layer",
    near(GROWTH, 0.02),
)
def explodes(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(at_first(evidence["places"]["gradients"]), "norm.position", growth_per_layer)


@claim(
    "Normalization makes a deep ReLU network explode, whichever it is",
    "growth of the gradient norm per layer",
    at_least(1.1),
)
def others_explode(evidence: Evidence) -> dict[str, list[float]]:
    start = at_first(evidence["norms"]["gradients"])
    return by_condition(start[start["norm"] != "none"], "norm", growth_per_layer)


@claim(
    "With batch normalization a network of sixty layers of ReLU trains",
    "accuracy on held-out digits",
    at_least(LEARNED),
)
def deep_trains(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(
        evidence["shortcuts"]["metrics"], "residual", lambda rows: last_value(rows, "val_accuracy")
    )


def largest_rate(rows: pd.DataFrame, norm: str) -> float:
    """The largest learning rate with which a network learns, 0 where none does."""
    own = where(rows, norm=norm)
    learned = own.loc[own["final_val_accuracy"] >= LEARNED, "lr"]
    return float(learned.max()) if len(learned) else 0.0


@claim(
    "It allows higher learning rates",
    f"largest rate that ends at {LEARNED:.0%}, with it / without it",
    at_least(5),
)
def higher_rates(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(
        evidence["rates"]["summary"], "act",
        lambda rows: ratio(largest_rate(rows, "batch"), largest_rate(rows, "none")),
    )  # fmt: skip


@claim(
    "The scale of a layer's weights does not change what the network computes",
    "change of the output when W is multiplied by 10, relative",
    at_most(1e-4),
)
def same_output(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(evidence["scales"]["probe"], "norm", lambda rows: rows["output_change"].iloc[0])


@claim(
    "Weights ten times larger get a gradient ten times smaller",
    "gradient norm before / after",
    near(FACTOR, 0.01),
)
def smaller_gradient(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(evidence["scales"]["probe"], "norm", lambda rows: rows["gradient_ratio"].iloc[0])


def growing_share(rows: pd.DataFrame) -> float:
    """The share of hidden layers and logged intervals in which the weight norm grew."""
    norms = hidden(rows).pivot_table(index="step", columns="layer", values="weight_norm").sort_index()
    changes = norms.diff().iloc[1:].to_numpy(float)
    return float((changes > 0).mean())


@claim(
    "Under plain gradient descent the weights then only grow",
    f"share of layers and intervals in which ||W|| grew, rate {BIG_STEP:g}",
    at_least(1),
)
def only_grow(evidence: Evidence) -> dict[str, list[float]]:
    rows = where(evidence["rates"]["gradients"], lr=BIG_STEP, act="relu")
    return by_condition(rows, "norm", growing_share)


@claim(
    "With it the initialization does not matter",
    "accuracy on held-out digits, tanh, by the deviation of the initial weights",
    at_least(LEARNED),
)
def any_start(evidence: Evidence) -> dict[str, list[float]]:
    rows = where(evidence["weights"]["metrics"], act="tanh", norm="batch")
    return by_condition(rows, "init.std", lambda rows: last_value(rows, "val_accuracy"))


@claim(
    "It keeps units out of saturation, weights of deviation 1",
    "saturated outputs of the worst layer, after training",
    at_most(0.1),
)
def unsaturated(evidence: Evidence) -> dict[str, list[float]]:
    rows = where(at_last(evidence["weights"]["gradients"]), init_std=1.0)
    return by_condition(rows, "norm", lambda rows: hidden(rows)["saturation"].max())


@claim(
    "What a network answers for an example does not depend on its batch",
    "deviation of the output over batches, relative; batches of 2 to 128",
    at_most(1e-9),
)
def alone(evidence: Evidence) -> dict[str, list[float]]:
    return by_condition(evidence["company"]["probe"], "norm", lambda rows: rows["noise"].max())


@claim(
    "The size of the batch does not matter",
    "accuracy in batches of 32 minus that in batches of 2, as many examples, rate in proportion",
    at_most(0.03),
)
def any_batch(evidence: Evidence) -> dict[str, list[float]]:
    sizes = pd.concat([evidence[f"batches_of_{size}"]["summary"].assign(size=size) for size in (2, 32)])
    return by_condition(sizes, "norm", _lost)


def _lost(rows: pd.DataFrame) -> float:
    small, large = (where(rows, size=size)["final_val_accuracy"].iloc[0] for size in (2, 32))
    return float(large - small)


@claim(
    "In evaluation mode the network computes what it was trained to compute",
    "training examples with another answer than in training mode",
    at_most(0.05),
)
def same_in_both_modes(evidence: Evidence) -> dict[str, list[float]]:
    rows = evidence["modes"]["probe"]
    ends = rows[rows["step"].isin([3, 300])]
    return by_condition(ends, ["batch_size", "step"], lambda rows: rows["disagreement"].iloc[0])


@claim(
    "It works by reducing internal covariate shift",
    "change of a layer's gradient by the update below it, in itself or relative to the gradient, "
    "with / without batch norm",
    at_most(1),
)
def less_shift(evidence: Evidence) -> dict[str, list[float]]:
    rows = evidence["shifts"]["probe"]
    return {
        f"{act} {column}": values
        for column in ("absolute", "relative")
        for act, values in by_condition(rows, "act", partial(with_over_without, column=column)).items()
    }


def with_over_without(rows: pd.DataFrame, column: str) -> float:
    """The mean of a column with batch norm over that without."""
    return ratio(*(where(rows, norm=norm)[column].mean() for norm in ("batch", "none")))


BATCHNORM = Chapter(
    "batchnorm",
    "Batch normalization",
    EXPERIMENTS,
    PLATES,
    (
        faster, level_in_ten, level_in_fifty, explodes, others_explode, deep_trains, higher_rates,
        same_output, smaller_gradient, only_grow, any_start, unsaturated, alone, any_batch,
        same_in_both_modes, less_shift,
    ),
)  # fmt: skip
