"""The last chapter: its claims, and what is compared in them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from vanishgrad.lab import Claim, Evidence
from vanishgrad.lab.chapters import remedies

NAMES = (
    "none", *remedies.ACTIVATIONS, *remedies.STARTS[:3], *remedies.STRUCTURES, *remedies.OPTIMIZERS,
    *remedies.BOUNDS,
)  # fmt: skip


def summary(accuracies: dict[str, float], slopes: dict[str, float] | None = None) -> pd.DataFrame:
    rows = [
        (name, seed, accuracy, (slopes or {}).get(name, 0.0))
        for name, accuracy in accuracies.items()
        for seed in (0, 1)
    ]
    return pd.DataFrame(rows, columns=["remedy", "seed", "final_val_accuracy", "gradient_slope"])


def of_remedies(
    alone: float, paired: float, slopes: dict[str, float] | None = None, **own: float
) -> Evidence:
    """All remedies reach the same, all pairs another accuracy, but for those that have their `own`."""
    reached = {name: own.get(name, alone) for name in NAMES}
    pretrained = summary({"pretraining": alone}).drop(columns="remedy")
    tables = {"alone": {"summary": summary(reached, slopes)}, "pretrained": {"summary": pretrained}}
    for training in remedies.PAIRS.values():
        (seconds,) = (text for text in training.overrides if text.startswith("remedy="))
        names = seconds.removeprefix("remedy=").split(",")
        tables[training.name] = {"summary": summary(dict.fromkeys(names, paired))}
    return tables


def of_slopes(sign: float) -> Evidence:
    """Accuracy that falls, or rises, with the steepness of the first gradients."""
    steep = {name: 0.1 * place for place, name in enumerate(NAMES)}
    own = {name: 0.5 + sign * 0.01 * place for place, name in enumerate(NAMES)}
    return of_remedies(0.5, 0.5, steep, **own)


def of_costs(cost: float) -> Evidence:
    rows = [(name, seed, cost) for name in NAMES[1:] for seed in (0, 1)]
    return {"costs": {"probe": pd.DataFrame(rows, columns=["remedy", "seed", "cost"])}}


def of_map(shallow: float, deep: float) -> Evidence:
    rows = [(0, 10, 20.0, shallow), (0, 40, 20.0, deep), (0, 20, 20.0, 0.6)]
    return {
        "map": {"trainability": pd.DataFrame(rows, columns=["seed", "depth", "trainable_depth", "reached"])}
    }


CURED, NOT = of_remedies(0.95, 0.95), of_remedies(0.1, 0.1)
CASES: dict[str, tuple[Claim, Evidence, Evidence]] = {
    "activation": (remedies.activation_cures, CURED, NOT),
    "start": (remedies.start_cures, CURED, NOT),
    "structure": (remedies.structure_cures, CURED, NOT),
    "optimizer": (remedies.optimizer_cures, CURED, NOT),
    "bounds": (remedies.bounds_do_not_cure, NOT, CURED),
    "pairs": (remedies.pairs_add_up, of_remedies(0.5, 0.9), of_remedies(0.9, 0.5)),
    "level": (remedies.level_gradients_learn, of_slopes(-1.0), of_slopes(1.0)),
    "cheap": (remedies.cures_are_cheap, of_costs(1.1), of_costs(3.0)),
    "within": (remedies.within_the_limit, of_map(0.95, 0.1), of_map(0.3, 0.1)),
    "beyond": (remedies.beyond_the_limit, of_map(0.95, 0.1), of_map(0.95, 0.9)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_claim_holds_for_the_one_table_and_fails_for_the_other(name: str) -> None:
    claim, true, false = CASES[name]
    assert claim(true).verdict == "holds"
    assert claim(false).verdict == "fails"


def test_every_claim_has_its_tables() -> None:
    assert [claim for claim, _, _ in CASES.values()] == list(remedies.REMEDIES.claims)


def test_a_pair_is_held_against_the_better_of_its_two() -> None:
    found = remedies.pairs_add_up(of_remedies(0.5, 0.7, batchnorm=0.8)).values
    assert found["batchnorm + tanh"] == pytest.approx((-0.1, -0.1))
    assert found["residual + tanh"] == pytest.approx((0.2, 0.2))


def test_what_was_tried_has_its_kind() -> None:
    rows = remedies.results(of_remedies(0.5, 0.7))
    assert set(rows["kind"]) == {"none", "alone", "pair"}
    assert list(rows.loc[rows["kind"] == "none", "remedy"].unique()) == ["none"]
    assert "pretraining" in set(rows.loc[rows["kind"] == "alone", "remedy"])
    assert np.isfinite(rows["accuracy"]).all()
