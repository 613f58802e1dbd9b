"""The chapter on batch normalization: every claim true of one table and false of another; the probes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch

from vanishgrad import Run, build
from vanishgrad.choices.activation import Tanh
from vanishgrad.choices.initialization import He
from vanishgrad.choices.normalization import BatchNorm
from vanishgrad.lab import PROBE, Claim, Evidence
from vanishgrad.lab.chapters import batchnorm
from vanishgrad.lab.chapters.batchnorm_probes import (
    disagreement,
    draw_examples,
    measure_company,
    measure_modes,
    measure_scales,
    measure_shifts,
)

LAYERS = np.arange(1, 31)  # the last is the output layer


def profile(per_layer: float, **columns: object) -> pd.DataFrame:
    """Two runs at the first step; the gradient grows by so much a layer towards the input."""
    rows = pd.DataFrame({"step": 0, "layer": LAYERS, "delta_norm": per_layer ** -LAYERS.astype(float)})
    return pd.concat([rows.assign(run=f"{columns}{seed}", seed=seed, **columns) for seed in (0, 1)])


def curve(rises_at: int, **columns: object) -> pd.DataFrame:
    """The accuracy of a run that learns at a step; never, where that is beyond the last."""
    steps = np.arange(0, 101, 10)
    accuracy = np.where(steps >= rises_at, 0.95, 0.1)
    return pd.DataFrame({"run": str(columns), "seed": 0, "step": steps, "val_accuracy": accuracy, **columns})


def two(plain: int, batch: int) -> Evidence:
    keys = {"act": "tanh", "init": "he"}
    both = [curve(plain, norm="none", **keys), curve(batch, norm="batch", **keys)]
    return {"speed": {"metrics": pd.concat(both)}}


def flow(depth: int, per_layer: float) -> Evidence:
    return {"flow": {"gradients": profile(per_layer, act="relu", norm="batch", depth=depth)}}


def norms(per_layer: float) -> Evidence:
    return {"norms": {"gradients": profile(per_layer, norm="layer")}}


def places(per_layer: float) -> Evidence:
    return {"places": {"gradients": profile(per_layer, **{"norm.position": "pre"})}}


def rates(plain: float, batch: float) -> Evidence:
    """Networks that learn up to a rate."""
    rows = [
        {
            "seed": 0,
            "act": "relu",
            "norm": norm,
            "lr": lr,
            "final_val_accuracy": 0.95 if lr <= most else math.nan,
        }
        for norm, most in (("none", plain), ("batch", batch))
        for lr in (0.1, 1.0, 10.0)
    ]
    return {"rates": {"summary": pd.DataFrame(rows)}}


def scaled(**columns: object) -> Evidence:
    return {"scales": {PROBE: pd.DataFrame({"seed": [0], "norm": "batch", **columns})}}


def weight_norms(second: float) -> Evidence:
    keys = {"run": "a", "seed": 0, "act": "relu", "norm": "batch", "lr": 1.0}
    rows = [
        {**keys, "step": step, "layer": layer, "weight_norm": size}
        for step, size in ((0, 1.0), (50, second), (100, 3.0))
        for layer in (1, 2, 3)
    ]
    return {"rates": {"gradients": pd.DataFrame(rows)}}


def starts(rises_at: int) -> Evidence:
    return {"weights": {"metrics": curve(rises_at, act="tanh", norm="batch", **{"init.std": 0.1})}}


def saturated(fraction: float) -> Evidence:
    rows = profile(1.0, act="tanh", norm="batch", saturation=fraction, **{"init.std": 1.0})
    return {"weights": {"gradients": rows}}


def noise(value: float) -> Evidence:
    return {"company": {PROBE: pd.DataFrame({"seed": [0, 0], "norm": "layer", "noise": [0.0, value]})}}


def sizes(small: float, large: float) -> Evidence:
    return {
        f"batches_of_{size}": {
            "summary": pd.DataFrame({"seed": [0], "norm": "batch", "final_val_accuracy": accuracy})
        }
        for size, accuracy in ((2, small), (32, large))
    }


def disagreeing(fraction: float) -> Evidence:
    rows = pd.DataFrame(
        {"seed": [0, 0], "batch_size": 64, "step": [10, 300], "disagreement": [1.0, fraction]}
    )
    return {"modes": {PROBE: rows}}


def shifted(batch: float) -> Evidence:
    rows = pd.DataFrame({"seed": [0, 0], "act": "relu", "norm": ["none", "batch"], "absolute": [1.0, batch]})
    return {"shifts": {PROBE: rows.assign(relative=rows["absolute"])}}


def deep(rises_at: int) -> Evidence:
    return {"shortcuts": {"metrics": curve(rises_at, residual="none")}}


CASES: dict[str, tuple[Claim, Evidence, Evidence]] = {
    "faster": (batchnorm.faster, two(60, 20), two(30, 20)),
    "level_in_ten": (batchnorm.level_in_ten, flow(10, 1.0), flow(10, 0.8)),
    "level_in_fifty": (batchnorm.level_in_fifty, flow(50, 1.0), flow(50, 1.21)),
    "explodes": (batchnorm.explodes, places(math.sqrt(math.pi / (math.pi - 1))), places(1.0)),
    "others_explode": (batchnorm.others_explode, norms(1.2), norms(1.0)),
    "deep_trains": (batchnorm.deep_trains, deep(50), deep(1000)),
    "higher_rates": (batchnorm.higher_rates, rates(0.1, 10.0), rates(1.0, 1.0)),
    "same_output": (batchnorm.same_output, scaled(output_change=1e-6), scaled(output_change=0.5)),
    "smaller_gradient": (batchnorm.smaller_gradient, scaled(gradient_ratio=10.0), scaled(gradient_ratio=1.0)),
    "only_grow": (batchnorm.only_grow, weight_norms(2.0), weight_norms(4.0)),
    "any_start": (batchnorm.any_start, starts(50), starts(1000)),
    "unsaturated": (batchnorm.unsaturated, saturated(0.02), saturated(0.9)),
    "alone": (batchnorm.alone, noise(1e-16), noise(0.5)),
    "any_batch": (batchnorm.any_batch, sizes(0.95, 0.96), sizes(0.5, 0.96)),
    "same_in_both_modes": (batchnorm.same_in_both_modes, disagreeing(0.01), disagreeing(0.3)),
    "less_shift": (batchnorm.less_shift, shifted(0.5), shifted(2.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_claim_holds_for_the_one_table_and_fails_for_the_other(name: str) -> None:
    claim, true, false = CASES[name]
    assert claim(true).verdict == "holds"
    assert claim(false).verdict == "fails"


def test_every_claim_has_its_tables() -> None:
    assert [claim for claim, _, _ in CASES.values()] == list(batchnorm.BATCHNORM.claims)


def test_two_networks_that_never_learn_are_no_gain() -> None:
    assert batchnorm.faster(two(1000, 1000)).verdict == "fails"


def test_the_gradient_stands_at_right_angles_to_the_weights_only_with_batch_norm() -> None:
    cosines = measure_scales(0).set_index("norm")["cosine"].abs()
    assert cosines["batch"] < 1e-6 < 1e-3 < cosines["none"]


def test_scaled_weights_give_the_gradient_that_finite_differences_give() -> None:
    model = build(Run(depth=5, act=Tanh(), init=He(), norm=BatchNorm(), dtype="float64", seed=0))
    x, y = draw_examples(Run(dtype="float64", seed=0), 64, "scales")
    weight = dict(model.named_parameters())["linear_3.weight"]
    direction = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def slope(factor: float) -> float:
        """Of the loss along `direction` from the scaled weights, by central differences."""
        first = weight.detach().clone()
        ends = []
        for step in (1e-5, -1e-5):
            with torch.no_grad():
                weight.copy_(factor * first + step * direction)
                ends.append(float(torch.nn.functional.cross_entropy(model(x), y)))
                weight.copy_(first)
        return (ends[0] - ends[1]) / 2e-5

    assert slope(1.0) / slope(10.0) == pytest.approx(10, rel=1e-3)
    assert measure_scales(0).set_index("norm").loc["batch", "gradient_ratio"] == pytest.approx(10, rel=1e-3)


def test_only_batch_norm_notices_the_company() -> None:
    noise = measure_company(0).groupby("norm")["noise"].max()
    assert noise["batch"] > 0.1
    assert (noise.drop("batch") < 1e-12).all()


def test_modes_agree_where_the_running_statistics_are_those_of_the_batch() -> None:
    model = build(Run(depth=2, norm=BatchNorm(), seed=0))
    x, _ = draw_examples(Run(seed=0), 256, "test")
    assert disagreement(model, x, 256) > 0.1  # mean 0, variance 1: what they begin with
    with torch.no_grad():
        for _ in range(300):
            model.train()(x)
    assert disagreement(model, x, 256) < 0.02  # their variance is the unbiased one, 256 / 255 of the batch's


def test_probes_have_the_columns_that_claims_read() -> None:
    assert set(measure_modes(0)["step"]) >= {3, 300}
    assert (measure_shifts(0)[["absolute", "relative"]] > 0).all().all()
