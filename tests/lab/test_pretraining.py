"""Every claim of the chapter on pretraining: a table for which it holds, and one for which it must fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
import pytest

from vanishgrad import Run, build
from vanishgrad.choices.activation import Sigmoid
from vanishgrad.choices.initialization import Xavier
from vanishgrad.choices.pretraining import Autoencoder
from vanishgrad.lab import Claim, Evidence
from vanishgrad.lab.chapters import pretraining

SEEDS = (0, 1)
Experiments: TypeAlias = dict[str, dict[str, pd.DataFrame]]
NO_PRETRAINING: dict[str, object] = {"act": "sigmoid"}


def table(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    """The rows of each seed."""
    return pd.DataFrame([row | {"seed": seed, "run": f"{row} {seed}"} for row in rows for seed in SEEDS])


def tuned(**columns: object) -> dict[str, object]:
    return {"pretrain": "rbm", "pretrain.freeze": False} | columns


def frozen(**columns: object) -> dict[str, object]:
    return tuned(**columns) | {"pretrain.freeze": True}


def of_tuned(name: str, *rows: dict[str, object]) -> Experiments:
    return {"tuned": {name: table(rows)}}


def of_plain(name: str, *rows: dict[str, object]) -> Experiments:
    return {"plain": {name: table(rows)}}


def accuracies(with_it: float, without: float, act: str = "sigmoid") -> Experiments:
    row: dict[str, object] = {"act": act, "final_val_accuracy": without}
    return of_tuned("summary", tuned(final_val_accuracy=with_it)) | of_plain("summary", row)


def gradients(with_it: float, without: float) -> Evidence:
    first = {"layer": 1, "step": 0}
    return of_tuned("gradients", tuned(delta_norm=with_it, **first)) | of_plain(
        "gradients", NO_PRETRAINING | first | {"delta_norm": without}
    )


def losses(last: float) -> Evidence:
    rows = [
        tuned(layer=layer, epoch=epoch, relative_loss=loss)
        for layer, ends in ((1, (1.0, 0.2)), (2, (1.0, last)))
        for epoch, loss in zip((0, 20), ends, strict=True)
    ]
    return of_tuned("pretraining", *rows)


def first_layers(alike: float) -> Evidence:
    rows: list[dict[str, object]] = [
        {"pretrain": "autoencoder", "moment": moment, "alike": alike} for moment in ("start", "pretrained")
    ]
    return {"first_layers": {"probe": table(rows)}}


def final_losses(with_freeze: float, without: float) -> Evidence:
    return of_tuned("summary", frozen(final_train_loss=with_freeze), tuned(final_train_loss=without))


def drift(moved: float) -> Evidence:
    return of_tuned("gradients", tuned(layer=1, step=9, weight_drift=moved))


def ten_layers(accuracy: float) -> Evidence:
    return {"deeper": {"summary": table([{"pretrain": "rbm", "final_val_accuracy": accuracy}])}}


def plain(accuracy: float) -> Evidence:
    row: dict[str, object] = {"final_val_accuracy": accuracy}
    return of_plain("summary", NO_PRETRAINING | row) | {"adam": {"summary": table([row])}}


CASES: dict[str, tuple[Claim, Evidence, Evidence]] = {
    "learns": (pretraining.learns, accuracies(0.9, 0.9), accuracies(0.1, 0.1)),
    "each_alone": (pretraining.each_alone, losses(0.5), losses(1.0)),
    "patterns": (pretraining.patterns, first_layers(0.6), first_layers(0.0)),
    "reaches_first": (pretraining.reaches_first, gradients(1.0, 0.01), gradients(1.0, 1.0)),
    "further": (pretraining.further, final_losses(1.0, 0.2), final_losses(1.0, 1.0)),
    "stays": (pretraining.stays, drift(0.01), drift(0.9)),
    "any_depth": (pretraining.any_depth, ten_layers(0.9), ten_layers(0.1)),
    "needed": (pretraining.needed, plain(0.1), plain(0.9)),
    "better_than_relu": (
        pretraining.better_than_relu,
        accuracies(0.97, 0.95, "relu"),
        accuracies(0.9, 0.95, "relu"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_claim_holds_for_the_one_table_and_fails_for_the_other(name: str) -> None:
    claim, true, false = CASES[name]
    assert claim(true).verdict == "holds"
    assert claim(false).verdict == "fails"


def test_every_claim_has_its_tables() -> None:
    assert [claim for claim, _, _ in CASES.values()] == list(pretraining.PRETRAINING.claims)


def test_without_pretraining_is_a_condition_of_its_own() -> None:
    assert pretraining.learns(accuracies(0.9, 0.1)).verdict == "holds only if pretrain=rbm"


def test_frozen_runs_do_not_count_as_fine_tuned() -> None:
    evidence = accuracies(0.9, 0.9)
    also = table([frozen(final_val_accuracy=0.1)])
    mixed = {"tuned": {"summary": pd.concat([evidence["tuned"]["summary"], also])}}
    assert pretraining.learns(evidence | mixed).verdict == "holds"


def test_stripes_are_patterns_one_way_only() -> None:
    stripes = np.tile(np.array([1.0, -1.0], dtype=np.float32), (1, 4, 4))
    assert pretraining.neighbour_correlation(stripes) == pytest.approx(-1)
    assert pretraining.neighbour_correlation(stripes.swapaxes(1, 2)) == pytest.approx(1)


def test_the_first_moment_is_the_initial_network_and_the_second_is_another() -> None:
    rows = pretraining.pretrained(Autoencoder(epochs=1), seed=4).set_index("moment")["filters"]
    plain = Run(depth=1, act=Sigmoid(), init=Xavier(), seed=4)
    weight = next(build(plain).parameters()).detach().numpy().reshape(-1, 8, 8)
    np.testing.assert_array_equal(rows["start"], weight[: pretraining.SHOWN])
    assert np.abs(rows["pretrained"] - rows["start"]).max() > 0.01
