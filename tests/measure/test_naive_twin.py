"""Every column of gradients.csv against a naive twin in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest

from vanishgrad.choices import activation, normalization, residual
from vanishgrad.choices.data import Digits
from vanishgrad.choices.initialization import Gaussian
from vanishgrad.choices.regularization import L1, L2, Dropout, ElasticNet
from vanishgrad.engine import train
from vanishgrad.records import GRADIENT_COLUMNS
from vanishgrad.run import Run

Naive = Callable[[Run], dict[tuple[int, str], dict[str, float | None]]]
MEASURED = GRADIENT_COLUMNS[GRADIENT_COLUMNS.index("name") + 1 :]
SMALL = Run(
    depth=3, width=8, max_steps=2, batch_size=16, lr=0.2, dtype="float64", log_every=1, eval_every=100,
    init=Gaussian(sigma_w=2.0, sigma_b=0.5), data=Digits(train_size=64),
)  # fmt: skip

ACTIVATIONS = [
    activation.ReLU(), activation.Sigmoid(), activation.Tanh(), activation.Softsign(), activation.Softplus(),
    activation.LeakyReLU(), activation.PReLU(), activation.ELU(alpha=1.5), activation.SELU(),
    activation.GELU(), activation.SiLU(), activation.Mish(), activation.Erf(),
    activation.Identity(),
]  # fmt: skip
NORMS = [
    normalization.NoNorm(), normalization.WeightNorm(), *(
        kind(position=position)
        for kind in (normalization.BatchNorm, normalization.LayerNorm, normalization.RMSNorm)
        for position in normalization.POSITIONS
    ),
    *(normalization.GroupNorm(groups=2, position=position) for position in normalization.POSITIONS),
]  # fmt: skip
RESIDUALS = [
    residual.IdentityShortcut(), residual.IdentityShortcut(every=1), residual.ScaledShortcut(),
    residual.ScaledShortcut(scale=0.3), residual.Rezero(), residual.Fixup(), residual.HighwayShortcut(),
    residual.HighwayShortcut(every=1), residual.DenseShortcut(),
]  # fmt: skip


def agrees(run: Run, naive: Naive) -> None:
    """Every figure of every layer and step, and that those of both sides are the same ones."""
    table = train(run).gradients
    expected = naive(run)
    assert len(table) == len(expected)
    for row in table.to_dict("records"):
        twin = expected[row["step"], row["name"]]
        for column in MEASURED:
            want, got = twin.get(column), row[column]
            where = f"step {row['step']}, {row['name']}, {column}: {got} for {want}"
            # biases before a normalization have gradient 0 up to rounding, 1e-16 of its terms
            right = math.isnan(got) if want is None else math.isclose(got, want, rel_tol=1e-8, abs_tol=1e-14)
            assert right, where


@pytest.mark.parametrize("norm", NORMS, ids=lambda norm: f"{norm.name}-{norm.position}")
@pytest.mark.parametrize("act", ACTIVATIONS, ids=lambda act: act.name)
def test_every_figure_equals_the_naive_twins(
    act: activation.Activation, norm: normalization.Normalization, naive: Naive
) -> None:
    agrees(replace(SMALL, act=act, norm=norm), naive)


@pytest.mark.parametrize(
    "norm", [normalization.NoNorm(), normalization.BatchNorm()], ids=lambda norm: norm.name
)
@pytest.mark.parametrize("choice", RESIDUALS, ids=str)
def test_every_figure_of_residual_networks_equals_the_naive_twins(
    choice: residual.Residual, norm: normalization.Normalization, naive: Naive
) -> None:
    agrees(replace(SMALL, depth=6, act=activation.Tanh(), residual=choice, norm=norm), naive)


@pytest.mark.parametrize(
    "reg", [L1(0.01), L2(0.01), ElasticNet(0.01, 0.02), Dropout(0.3)], ids=lambda r: r.name
)
@pytest.mark.parametrize(
    "norm", [normalization.NoNorm(), normalization.WeightNorm()], ids=lambda norm: norm.name
)
def test_gradients_include_the_penalty_and_see_the_dropout(
    reg: L1 | L2 | ElasticNet | Dropout, norm: normalization.Normalization, naive: Naive
) -> None:
    agrees(replace(SMALL, act=activation.Tanh(), reg=reg, norm=norm), naive)


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize(
    "norm", [normalization.NoNorm(), normalization.BatchNorm(), normalization.WeightNorm()], ids=str
)
def test_networks_of_no_and_few_hidden_layers_equal_the_naive_twins(
    depth: int, norm: normalization.Normalization, naive: Naive
) -> None:
    agrees(replace(SMALL, depth=depth, norm=norm), naive)


@pytest.mark.parametrize("recompute_every", [1, 2, 5])
def test_recomputed_segments_are_measured_like_kept_ones(recompute_every: int, naive: Naive) -> None:
    run = replace(
        SMALL, depth=6, reg=Dropout(0.3), norm=normalization.BatchNorm(), recompute_every=recompute_every
    )
    agrees(run, naive)


def test_the_twin_meets_saturated_and_dead_units(naive: Naive) -> None:
    """The comparisons above would be empty if both fractions were 0 everywhere."""
    found = naive(replace(SMALL, act=activation.ReLU()))
    assert any((row.get("dead_fraction") or 0) > 0 for row in found.values())
    tanh = naive(replace(SMALL, act=activation.Tanh()))
    assert all(0.05 < row["saturation"] < 0.95 for row in tanh.values() if row.get("saturation") is not None)
