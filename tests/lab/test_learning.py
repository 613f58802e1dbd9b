"""The chapter on learning: its claims, the valley and the chain rule taken apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vanishgrad.lab import Claim, Evidence
from vanishgrad.lab.chapters import learning
from vanishgrad.lab.chapters.learning import norm_product, product_error, quotient_error
from vanishgrad.lab.valley import CURVATURES, START, descend, descent_from_anywhere, descents


def probe(name: str, **columns: object) -> Evidence:
    return {name: {"probe": pd.DataFrame({"seed": [0, 1]}).assign(**columns)}}


def of_rates(slow: int, fast: int) -> Evidence:
    """Steps at which half of the digits are right, with a rate and with ten times that rate."""
    runs = [(0.1, slow, 0.6), (0.1, slow + 1, 0.9), (1.0, fast, 0.6)]
    rows = pd.DataFrame(runs, columns=["lr", "step", "val_accuracy"]).assign(seed=0)
    return {"rates": {"metrics": rows}}


def of_batches(losses: list[float]) -> Evidence:
    rows = pd.DataFrame({"step": range(len(losses)), "train_loss": losses}).assign(seed=0, batch_size="full")
    return {"batches": {"metrics": rows}}


def of_spirals(linear: float, deep: float) -> Evidence:
    rows = [("tanh", 0, 0, linear), ("tanh", 3, 0, deep)]
    return {
        "spirals": {"summary": pd.DataFrame(rows, columns=["act", "depth", "seed", "final_val_accuracy"])}
    }


CASES: dict[str, tuple[Claim, Evidence, Evidence]] = {
    "minimum": (
        learning.finds_the_minimum, probe("valley", lr=0.1, left=1e-9), probe("valley", lr=0.1, left=2.0),
    ),
    "faster": (learning.higher_is_faster, of_rates(100, 10), of_rates(100, 90)),
    "downhill": (learning.always_downhill, of_batches([3.0, 2.0, 1.0]), of_batches([3.0, 2.0, 2.5])),
    "derivative": (
        learning.is_the_derivative, probe("quotients", error=1e-9), probe("quotients", error=1e-2),
    ),
    "product": (learning.is_a_product, probe("chain", error=1e-15), probe("chain", error=0.5)),
    "norms": (
        learning.norms_multiply, probe("norms", width=1, ratio=1.0), probe("norms", width=64, ratio=0.1),
    ),
    "input": (learning.times_the_input, probe("weights", error=1e-15), probe("weights", error=1.0)),
    "power": (learning.depth_is_power, of_spirals(0.4, 0.95), of_spirals(0.4, 0.41)),
    "collapse": (
        learning.linear_layers_collapse, probe("collapse", error=1e-15), probe("collapse", error=0.3),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_claim_holds_for_the_one_table_and_fails_for_the_other(name: str) -> None:
    claim, true, false = CASES[name]
    assert claim(true).verdict == "holds"
    assert claim(false).verdict == "fails"


def test_every_claim_has_its_tables() -> None:
    assert [claim for claim, _, _ in CASES.values()] == list(learning.LEARNING.claims)


def test_two_rates_that_never_get_there_are_equally_slow() -> None:
    rows = pd.DataFrame({"lr": [0.1, 1.0], "step": [5, 5], "val_accuracy": [0.1, 0.1], "seed": 0})
    assert learning.higher_is_faster({"rates": {"metrics": rows}}).values == {"lr=1": (1.0,)}


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.19, 0.25])
def test_each_coordinate_of_the_valley_shrinks_by_its_own_factor(rate: float) -> None:
    path = descend(rate, 12)
    steps = np.arange(13)
    for name, curvature, start in zip("xy", CURVATURES, START, strict=True):
        np.testing.assert_allclose(path[name], start * (1 - rate * curvature) ** steps, atol=1e-12)
    loss = (CURVATURES[0] * path["x"] ** 2 + CURVATURES[1] * path["y"] ** 2) / 2
    np.testing.assert_allclose(path["loss"], loss)


def test_paths_are_named_by_their_rate() -> None:
    assert list(descents([0.1, 0.2], 2)["setting"].unique()) == ["lr=0.1", "lr=0.2"]


def test_the_chain_of_single_units_is_the_derivative_of_the_loss() -> None:
    chain = product_error(2)
    assert list(chain["layer"]) == list(range(10, 0, -1))
    assert chain["error"].max() < 1e-12
    assert chain["measured"].abs().max() > 1e3 * chain["measured"].abs().min()


def test_a_product_of_norms_is_a_bound() -> None:
    ratios = norm_product(0).set_index("width")["ratio"]
    assert ratios[1] == pytest.approx(1)
    assert 0 < ratios[64] < 0.1


def test_difference_quotients_agree() -> None:
    assert quotient_error(1)["error"].max() < 1e-6


def test_from_anywhere_every_rate_below_two_over_the_steepest_curvature_converges() -> None:
    found = descent_from_anywhere(3).set_index("lr")["left"]
    assert (found[found.index < 0.2] < 1).all()
    assert (found[found.index > 0.2] > 1).all()
    assert [int((found.index < 0.2).sum()), int((found.index > 0.2).sum())] == [4, 1]
