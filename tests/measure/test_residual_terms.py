"""dLoss/dx of a residual block taken apart: against hand-made blocks, and against the pass without hooks."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from vanishgrad.choices.activation import Identity, ReLU, Tanh
from vanishgrad.choices.data import Digits, load
from vanishgrad.choices.model.build import build
from vanishgrad.choices.model.feedforward import CNN
from vanishgrad.choices.normalization import BatchNorm, WeightNorm
from vanishgrad.choices.protocol import Residual
from vanishgrad.choices.residual import (
    DenseShortcut,
    Fixup,
    Fork,
    HighwayShortcut,
    IdentityShortcut,
    NoResidual,
    Rezero,
    ScaledShortcut,
)
from vanishgrad.engine import train
from vanishgrad.engine.plan import Order
from vanishgrad.measure.extra_tables import split
from vanishgrad.run import Run

SMALL = Run(
    depth=7, width=6, act=Tanh(), residual=IdentityShortcut(), batch_size=8, max_steps=1, log_every=1,
    dtype="float64", data=Digits(train_size=64),
)  # fmt: skip
KINDS: list[Residual] = [
    IdentityShortcut(),
    ScaledShortcut(),
    Rezero(),
    Fixup(),
    HighwayShortcut(),
    DenseShortcut(),
    ScaledShortcut(0.5, 3),
]


def terms(run: Run) -> pd.DataFrame:
    table = train(run).extra["residual_gradients"]
    return table[table["step"] == 0].set_index("block")


def first_batch(run: Run) -> tuple[Tensor, Tensor]:
    data = load(run.data)
    rows = next(iter(Order(run, len(data.train_x))))
    return data.train_x[rows].double(), data.train_y[rows]


class Kept:
    """An observer that keeps the two ways of every stream."""

    def __init__(self) -> None:
        self.forks: list[tuple[Tensor, Tensor]] = []

    def module(self, *_: object) -> None:
        return None

    def unrolled(self, *_: object) -> None:
        return None

    def fork(self, block: nn.Module, direct: Tensor, into: Tensor) -> None:
        self.forks.append((direct, into))


CONVOLUTIONAL = replace(SMALL, model=CNN(stages=2), width=4)


@pytest.mark.parametrize(
    "run",
    [
        *(replace(run, residual=kind) for run in (SMALL, CONVOLUTIONAL) for kind in KINDS),
        replace(SMALL, norm=WeightNorm()),
    ],
    ids=lambda run: f"{run.model.name} {run.residual} {run.norm.name}",
)
def test_rows_are_the_gradients_of_the_two_ways(run: Run) -> None:
    network, kept = build(run), Kept()
    for module in network.modules():
        if isinstance(module, Fork):
            module.observer = kept
    inputs, targets = first_batch(run)
    loss = run.criterion(network(inputs), targets)
    table = terms(run)
    assert list(table["layer"]) == [block[0] for block in run.blocks]
    for (direct, into), (_, row) in zip(kept.forks, table.iterrows(), strict=True):
        found = torch.autograd.grad(loss, [direct, into], retain_graph=True, allow_unused=True)
        around, through = (torch.zeros_like(direct) if one is None else one for one in found)
        lengths = [float(one.norm()) for one in (around + through, around, through)]
        assert [row["stream_norm"], row["shortcut_norm"], row["branch_norm"]] == pytest.approx(lengths, 1e-8)
        if lengths[1] and lengths[2]:
            cosine = float((around * through).sum()) / lengths[1] / lengths[2]
            assert row["cosine"] == pytest.approx(cosine, abs=1e-8)
        else:
            assert math.isnan(row["cosine"])


def test_an_identity_branch_of_known_matrix_gives_the_closed_form() -> None:
    # y = x + x A: the shortcut term is dLoss/dy, the branch term dLoss/dy A^T, whatever the batch
    run = replace(SMALL, act=Identity(), depth=2, residual=IdentityShortcut(every=1))
    row = terms(run).loc[1]
    network = build(run)
    inputs, targets = first_batch(run)
    weight = network.get_parameter("block_1.branch.linear_2.weight").detach()
    parts = list(network)  # type: ignore[arg-type]
    hidden = nn.Sequential(*parts[:3])(inputs).detach().requires_grad_()
    loss = run.criterion(nn.Sequential(*parts[3:])(hidden), targets)
    (upper,) = torch.autograd.grad(loss, hidden)
    assert row["shortcut_norm"] == pytest.approx(float(upper.norm()), rel=1e-8)
    assert row["branch_norm"] == pytest.approx(float((upper @ weight).norm()), rel=1e-8)


def test_rezero_starts_with_the_shortcut_alone() -> None:
    table = terms(replace(SMALL, residual=Rezero()))
    assert (table["branch_norm"] == 0).all()
    assert table["cosine"].isna().all()
    assert table["stream_norm"].nunique() == 1


@pytest.mark.parametrize("run", [replace(SMALL, residual=NoResidual()), replace(SMALL, measure="gradients")])
def test_a_plain_network_and_gradients_alone_have_no_terms(run: Run) -> None:
    assert "residual_gradients" not in train(run).extra


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_terms_are_right_from_the_smallest_to_the_largest_gradients(size: float) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4), (5, 2, 2, 2), (3, 4)]
    around = [size * torch.randn(shape, generator=generator) for shape in shapes]
    through = [size * torch.randn(shape, generator=generator) for shape in shapes]
    for row, one, other in zip(split(around, through).tolist(), around, through, strict=True):
        a, b = one.double(), other.double()
        expected = [float((a + b).norm()), float(a.norm()), float(b.norm())]
        assert row[:3] == pytest.approx(expected, rel=1e-5)
        assert row[3] == pytest.approx(float((a * b).sum() / a.norm() / b.norm()), abs=1e-5)


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_recomputed_activations_give_the_same_terms(every: int, model: str) -> None:
    changes = {"model": CNN(stages=2), "width": 4} if model == "cnn" else {}
    run = replace(SMALL, norm=BatchNorm(), act=ReLU(), dtype="float32", **changes)  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(terms(replace(run, recompute_every=every)), terms(run), rtol=1e-6)
