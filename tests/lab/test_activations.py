"""The chapter on activations: its probes against closed forms, and tables for and against every claim."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from vanishgrad import Run, build
from vanishgrad.choices.activation import Sigmoid, Tanh
from vanishgrad.choices.data import load
from vanishgrad.lab import Claim, Evidence
from vanishgrad.lab.chapters import activations

LAYERS = np.arange(1, 22)  # the last is the output layer
SEEDS = (0, 1)
ACTS = ("sigmoid", "tanh")


def probed(name: str, *rows: dict[str, object]) -> Evidence:
    return {name: {"probe": pd.DataFrame([row | {"seed": seed} for row in rows for seed in SEEDS])}}


def started(decades_per_layer: float, **columns: Any) -> Evidence:
    """Initial networks of both activations and two sizes of weights."""
    layers = {"step": 0, "layer": LAYERS, "delta_norm": 10.0 ** (decades_per_layer * LAYERS)}
    runs = [
        pd.DataFrame(
            {"run": f"{act} {sigma} {seed}", "seed": seed, "act": act, "init.sigma_w": sigma}
            | layers
            | columns
        )
        for act in ACTS
        for sigma in (0.5, 1.0, 4.0)
        for seed in SEEDS
    ]
    return {"start": {"gradients": pd.concat(runs)}}


def trained(deepest: dict[str, int]) -> Evidence:
    """Networks that learn up to a depth."""
    rows = [
        {"act": act, "depth": depth, "seed": seed, "final_val_accuracy": 0.95 if depth <= most else 0.1}
        for act, most in deepest.items()
        for depth in (1, 2, 5, 20)
        for seed in SEEDS
    ]
    return {"depths": {"summary": pd.DataFrame(rows)}}


def learning(steps: dict[str, int]) -> Evidence:
    rows = [
        {"act": act, "depth": 2, "seed": seed, "step": step, "val_accuracy": 0.9 if step >= needed else 0.1}
        for act, needed in steps.items()
        for step in (0, 20, 40, 200)
        for seed in SEEDS
    ]
    return {"depths": {"metrics": pd.DataFrame(rows)}}


def of_twenty(accuracy: float) -> Evidence:
    row = {"init": "xavier", "norm": "none", "seed": 0, "final_val_accuracy": accuracy}
    return {"twenty": {"summary": pd.DataFrame([row])}}


def alike(cosine: float) -> Evidence:
    return probed("similarity", {"setting": "act=sigmoid", "layer": 20, "cosine": cosine})


SIGNS = {"act": "sigmoid", "batch": 1}

CASES: dict[str, tuple[Claim, Evidence, Evidence]] = {
    "bounded": (
        activations.bounded,
        probed("slopes", {"act": "sigmoid", "steepest": 0.25, "bound": 0.25}),
        probed("slopes", {"act": "sigmoid", "steepest": 0.5, "bound": 0.25}),
    ),
    "tanh_lets_through": (activations.tanh_lets_through, started(0.01), started(0.3)),
    "compensated": (activations.compensated, started(0.01), started(0.3)),
    "saturated_where_lost": (
        activations.saturated_where_lost,
        started(0.3, saturation=0.6),
        started(0.3, saturation=0.0),
    ),
    "lost_where_saturated": (activations.lost_where_saturated, started(0.3), started(-0.3)),
    "one_way": (
        activations.one_way,
        probed("signs", SIGNS | {"one_sign": 1.0}),
        probed("signs", SIGNS | {"one_sign": 0.1}),
    ),
    "alike": (activations.alike, alike(0.9999), alike(0.4)),
    "deeper": (
        activations.deeper,
        trained({"sigmoid": 2, "tanh": 20}),
        trained({"sigmoid": 5, "tanh": 5}),
    ),
    "faster": (
        activations.faster,
        learning({"sigmoid": 200, "tanh": 20}),
        learning({"sigmoid": 20, "tanh": 20}),
    ),
    "untrainable": (activations.untrainable, of_twenty(0.1), of_twenty(0.95)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_claim_holds_for_the_one_table_and_fails_for_the_other(name: str) -> None:
    claim, true, false = CASES[name]
    assert claim(true).verdict == "holds"
    assert claim(false).verdict == "fails"


def test_every_claim_has_its_tables() -> None:
    assert [claim for claim, _, _ in CASES.values()] == list(activations.ACTIVATIONS.claims)


def test_networks_that_lose_nothing_say_nothing_of_saturation() -> None:
    assert activations.saturated_where_lost(started(0.001, saturation=0.6)).verdict == "fails"


def test_a_network_that_never_learns_is_infinitely_slower() -> None:
    evidence = learning({"sigmoid": 1000, "tanh": 20})
    assert activations.faster(evidence).values == {"depth=2": (math.inf, math.inf)}


def test_slopes_are_those_of_the_closed_forms() -> None:
    z = torch.linspace(-9, 9, 101, dtype=torch.float64)
    sigmoid, tanh = 1 / (1 + (-z).exp()), (z.exp() - (-z).exp()) / (z.exp() + (-z).exp())
    torch.testing.assert_close(activations.slope_at(Sigmoid(), z), sigmoid * (1 - sigmoid))
    torch.testing.assert_close(activations.slope_at(Tanh(), z), 1 - tanh**2)


def test_the_probe_of_slopes_finds_the_largest() -> None:
    table = activations.measure_steepest_slopes(0).set_index("act")
    rows = table["steepest"]
    assert rows.to_numpy() == pytest.approx(table["bound"].to_numpy())
    assert rows["sigmoid"] == 0.25
    assert rows["erf"] == pytest.approx(2 / math.sqrt(math.pi))


def test_one_example_moves_all_weights_of_a_unit_above_a_sigmoid_alike() -> None:
    rows = activations.measure_signs(3).set_index(["act", "batch"])["one_sign"]
    assert rows["sigmoid", 1] == 1.0
    assert rows["tanh", 1] == 0.0


def test_the_mean_cosine_is_that_over_pairs() -> None:
    rows = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    pairs = torch.combinations(torch.arange(5))
    cosines = torch.nn.functional.cosine_similarity(rows[pairs[:, 0]], rows[pairs[:, 1]])
    assert activations.mean_cosine(rows) == pytest.approx(float(cosines.mean()), abs=1e-6)


def test_hidden_outputs_are_those_of_a_naive_pass() -> None:
    run = Run(depth=2, width=8, act=Tanh())
    x = load(run.data).train_x[:3]
    w1, b1, w2, b2, *_ = build(run).parameters()
    h = torch.tanh(x.flatten(1) @ w1.T + b1)
    wanted = [h, torch.tanh(h @ w2.T + b2)]
    for found, expected in zip(activations.hidden_outputs(run, x), wanted, strict=True):
        torch.testing.assert_close(found, expected)
