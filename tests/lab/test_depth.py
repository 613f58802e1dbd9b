"""Every claim of the chapter on depth: a table for which it holds, and one for which it must fail."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vanishgrad.lab import Claim, Evidence
from vanishgrad.lab.chapters import depth

LAYERS = np.arange(1, 11)  # the last is the output layer


def rows(delta: object, seed: int = 0, **columns: object) -> pd.DataFrame:
    """One run at one step: a row per layer."""
    table = pd.DataFrame({"run": f"{columns}{seed}", "seed": seed, "step": 0, "layer": LAYERS})
    return table.assign(delta_norm=delta, **columns)


def of_weights(delta: object, predicted: object = 1.0) -> Evidence:
    keys = {"init.sigma_w": 0.7, "predicted_delta_norm": predicted}
    return {"weights": {"gradients": pd.concat([rows(delta, seed, **keys) for seed in (0, 1)])}}


def of_activations(**columns: object) -> Evidence:
    return {"activations": {"gradients": rows(1.0, act="sigmoid", remedy="xavier", **columns)}}


EXPONENTIAL = 10.0 ** (0.3 * LAYERS)
JAGGED = EXPONENTIAL * 10.0 ** (2 * (LAYERS % 2))

CASES: dict[str, tuple[Claim, Evidence, Evidence]] = {
    "exponential": (depth.exponential, of_weights(EXPONENTIAL), of_weights(JAGGED)),
    "as_predicted": (
        depth.as_predicted,
        of_weights(EXPONENTIAL, 3 * EXPONENTIAL),
        of_weights(EXPONENTIAL, EXPONENTIAL**2),
    ),
    "slower_below": (
        depth.slower_below,
        of_activations(update_ratio=EXPONENTIAL),
        of_activations(update_ratio=1.0),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_claim_holds_for_the_one_table_and_fails_for_the_other(name: str) -> None:
    claim, true, false = CASES[name]
    assert claim(true).verdict == "holds"
    assert claim(false).verdict == "fails"


def test_every_claim_has_its_tables() -> None:
    assert [claim for claim, _, _ in CASES.values()] == list(depth.DEPTH.claims)
