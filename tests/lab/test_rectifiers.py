"""The chapter on rectifiers: every claim true of one table and false of another; the probes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vanishgrad.lab import PROBE, Claim, Evidence
from vanishgrad.lab.chapters import rectifiers
from vanishgrad.lab.chapters.rectifiers import (
    PRELU_DEPTH,
    TIMED,
    measure_activation_costs,
    measure_learned_slopes,
)
from vanishgrad.lab.chapters.rectifiers_figures import dead_and_alive

LAYERS = np.arange(1, 22)  # the last is the output layer
SEEDS = (0, 1)


def layers(**columns: object) -> pd.DataFrame:
    """A row per layer of two runs at the first step."""
    whole = pd.DataFrame({"run": str(columns), "step": 0, "layer": LAYERS, **columns})
    return pd.concat([whole.assign(seed=seed, run=whole["run"] + str(seed)) for seed in SEEDS])


def flow(**columns: object) -> Evidence:
    return {"flow": {"gradients": layers(act="relu", init="he", **columns)}}


def curves(other: int, relu: int) -> Evidence:
    """Two activations that learn at these steps; never, where that is beyond the last."""
    steps = np.arange(0, 101, 10)
    rows = [
        pd.DataFrame({"seed": 0, "depth": 1, "act": act, "step": steps}).assign(
            val_accuracy=np.where(steps >= rises_at, 0.95, 0.1)
        )
        for act, rises_at in (("sigmoid", other), ("relu", relu))
    ]
    return {"speed": {"metrics": pd.concat(rows)}}


def timed(sigmoid: float) -> Evidence:
    rows = {"seed": 0, "part": "activation", "act": ["relu", "sigmoid"], "seconds": [1.0, sigmoid]}
    return {"costs": {PROBE: pd.DataFrame(rows)}}


def accuracies(elu: float) -> Evidence:
    rows = [
        {"seed": seed, "act": act, "final_val_accuracy": accuracy + seed / 100}
        for seed in SEEDS
        for act, accuracy in (("relu", 0.9), ("elu", elu))
    ]
    return {"accuracy": {"summary": pd.DataFrame(rows)}}


def dead(name: str, fraction: float) -> Evidence:
    """Two layers of 10 and 30 units, the fraction dead in the larger one; the first counts a quarter."""
    rows = [
        {"run": "a", "seed": 0, "step": step, "remedy": "none", "layer": layer, "units": units,
         "dead_fraction": part}
        for step in (0, 50)
        for layer, units, part in ((1, 10, 0.0), (2, 30, fraction))
    ]  # fmt: skip
    return {name: {"dead_units": pd.DataFrame(rows)}}


def learned(name: str, accuracy: float) -> Evidence:
    rows = {"seed": 0, "remedy": "he", "step": [0, 10, 20], "val_accuracy": [0.95, accuracy, np.nan]}
    return {name: {"metrics": pd.DataFrame(rows)}}


def means(elu: float) -> Evidence:
    rows = [layers(act=act, act_mean=mean, act_std=2.0) for act, mean in (("relu", 1.0), ("elu", elu))]
    return {"statistics": {"gradients": pd.concat(rows)}}


def variances(last: float) -> Evidence:
    deviation = np.where(LAYERS == 20, last**0.5, 9.0)
    return {"selu": {"gradients": layers(init="lecun", act_std=deviation)}}


def learned_slopes(first: float, last: float) -> Evidence:
    return {"slopes": {PROBE: pd.DataFrame({"seed": 0, "layer": [1, 2], "slope": [first, last]})}}


FALLING = 10.0 ** (0.2 * LAYERS)

CASES: dict[str, tuple[Claim, Evidence, Evidence]] = {
    "passes": (rectifiers.passes, flow(delta_norm=1.0), flow(delta_norm=FALLING)),
    "alike": (rectifiers.alike, flow(update_ratio=0.1), flow(update_ratio=FALLING)),
    "faster": (rectifiers.faster, curves(60, 20), curves(20, 20)),
    "cheaper": (rectifiers.cheaper, timed(2.0), timed(1.0)),
    "better": (rectifiers.better, accuracies(0.92), accuracies(0.9)),
    "born_dead": (rectifiers.born_dead, dead("born_dead", 0.4), dead("born_dead", 0.2)),
    "born_dead_learns": (
        rectifiers.born_dead_learns, learned("born_dead", 0.92), learned("born_dead", 0.8),
    ),
    "born_dead_revived": (
        rectifiers.born_dead_revived, dead("born_dead", 0.0), dead("born_dead", 0.4),
    ),
    "killed": (rectifiers.killed, dead("killed", 0.8), dead("killed", 0.6)),
    "killed_learns": (rectifiers.killed_learns, learned("killed", 0.92), learned("killed", 0.8)),
    "centred": (rectifiers.centred, means(-0.1), means(-0.9)),
    "self_normalizing": (rectifiers.self_normalizing, variances(1.0), variances(3.0)),
    "slopes_move": (rectifiers.slopes_move, learned_slopes(0.25, 0.5), learned_slopes(0.25, 0.25)),
    "larger_below": (rectifiers.larger_below, learned_slopes(0.5, 0.3), learned_slopes(0.3, 0.5)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_claim_holds_for_the_one_table_and_fails_for_the_other(name: str) -> None:
    claim, true, false = CASES[name]
    assert claim(true).verdict == "holds"
    assert claim(false).verdict == "fails"


def test_every_claim_has_its_tables() -> None:
    assert [claim for claim, _, _ in CASES.values()] == list(rectifiers.RECTIFIERS.claims)


def test_two_networks_that_never_learn_are_no_gain() -> None:
    assert rectifiers.faster(curves(1000, 1000)).verdict == "fails"


def test_every_activation_is_timed_alone_and_in_its_layer() -> None:
    table = measure_activation_costs(0).pivot_table(index="act", columns="part", values="seconds")
    assert set(table.index) == {act.name for act in TIMED}
    assert (table[["activation", "layer"]] > 0).all().all()


def test_every_layer_has_a_slope_of_its_own() -> None:
    learned = measure_learned_slopes(0)
    assert list(learned["layer"]) == list(range(1, PRELU_DEPTH + 1))
    assert learned["slope"].nunique() == PRELU_DEPTH


def test_dead_units_and_accuracies_stand_side_by_side() -> None:
    rows = pd.DataFrame({
        "remedy": ["none", "leaky_relu"], "seed": 0, "dead_before": [0.1, 0.2], "dead_after": [0.9, 0.0],
        "accuracy": [0.2, 0.95],
    })  # fmt: skip
    figure = dead_and_alive("t", {"born dead": rows, "killed": rows})
    assert [axes.get_title() for axes in figure.axes] == ["born dead", "born dead", "killed", "killed"]
    left, right = figure.axes[:2]
    assert [tick.get_text() for tick in left.get_yticklabels()] == ["none", "leaky_relu"]
    assert [float(line.get_xdata()[0]) for line in left.lines] == [0.1, 0.9, 0.2, 0.0]
    assert [float(line.get_xdata()[0]) for line in right.lines if line.get_marker() == "o"] == [0.2, 0.95]
