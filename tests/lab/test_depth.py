"""Every claim of the chapter on depth: a table for which it holds, and one for which it must fail."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vanishgrad.lab import Claim, Evidence
from vanishgrad.lab.chapters import depth

LAYERS = np.arange(1, 11)  # the last is the output layer
EXPONENTIAL = 10.0 ** (0.3 * LAYERS)
JAGGED = EXPONENTIAL * 10.0 ** (2 * (LAYERS % 2))


def layers(seed: int = 0, **columns: object) -> pd.DataFrame:
    """One run at one step: a row per layer."""
    table = pd.DataFrame({"run": str(seed), "seed": seed, "step": 0, "layer": LAYERS})
    return table.assign(**columns)


def of_weights(delta: object, predicted: object = 1.0) -> Evidence:
    columns = {"init.sigma_w": 0.7, "delta_norm": delta, "predicted_delta_norm": predicted}
    return {"weights": {"gradients": pd.concat([layers(seed, **columns) for seed in (0, 1)])}}


def of_activations(**columns: object) -> Evidence:
    saturating = layers(act="sigmoid", setting="act=sigmoid", weight_norm=1.0, **columns)
    rectifying = layers(setting="act=relu", weight_norm=1.0, **columns)
    return {"saturating": {"gradients": saturating}, "rectifying": {"gradients": rectifying}}


def of_depths(shallow: float, deep: float) -> Evidence:
    rows = [("tanh", 1, 0, shallow), ("tanh", 20, 0, deep)]
    return {"depths": {"summary": pd.DataFrame(rows, columns=["act", "depth", "seed", "final_val_accuracy"])}}


def of_large(delta: object) -> Evidence:
    return {"large": {"gradients": layers(act="relu", delta_norm=delta)}}


CASES: dict[str, tuple[Claim, Evidence, Evidence]] = {
    "exponential": (depth.exponential, of_weights(EXPONENTIAL), of_weights(JAGGED)),
    "as predicted": (
        depth.as_predicted,
        of_weights(EXPONENTIAL, 3 * EXPONENTIAL),
        of_weights(EXPONENTIAL, EXPONENTIAL**2),
    ),
    "slower below": (
        depth.slower_below,
        of_activations(grad_norm=EXPONENTIAL),
        of_activations(grad_norm=1.0),
    ),
    "still there": (
        depth.still_there,
        of_activations(weight_drift=EXPONENTIAL * 1e-9),
        of_activations(weight_drift=0.5),
    ),
    "no harm": (depth.no_harm, of_depths(0.9, 0.93), of_depths(0.9, 0.1)),
    "large explodes": (depth.large_explodes, of_large(1 / EXPONENTIAL), of_large(EXPONENTIAL)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_claim_holds_for_the_one_table_and_fails_for_the_other(name: str) -> None:
    claim, true, false = CASES[name]
    assert claim(true).verdict == "holds"
    assert claim(false).verdict == "fails"


def test_every_claim_has_its_tables() -> None:
    assert [claim for claim, _, _ in CASES.values()] == list(depth.DEPTH.claims)


def test_the_claims_say_under_which_condition_they_hold() -> None:
    both = of_weights(EXPONENTIAL)["weights"]["gradients"]
    other = of_weights(JAGGED)["weights"]["gradients"].assign(**{"init.sigma_w": 1.0})
    evidence = {"weights": {"gradients": pd.concat([both, other])}}
    assert depth.exponential(evidence).verdict == "holds only if init.sigma_w=0.7"


def test_the_activations_are_compared_in_one_table() -> None:
    """Those that saturate as they are, relu under its own label."""
    found = depth.activations(of_activations(grad_norm=EXPONENTIAL))
    assert found["act"].tolist() == ["sigmoid"] * len(LAYERS) + ["relu"] * len(LAYERS)
    assert found["setting"].unique().tolist() == ["act=sigmoid", "act=relu"]
