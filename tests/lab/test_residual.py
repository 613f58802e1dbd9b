"""Every claim of the chapter on residual networks, and the probe of the stream against closed forms."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from vanishgrad.choices.activation import Identity, ReLU
from vanishgrad.choices.data import load
from vanishgrad.choices.initialization import He, Orthogonal
from vanishgrad.choices.model.build import build
from vanishgrad.choices.residual import IdentityShortcut, Rezero
from vanishgrad.lab import PROBE, Claim, Evidence
from vanishgrad.lab.chapters import residual
from vanishgrad.lab.chapters.residual import SETTINGS, measure_stream
from vanishgrad.run import Run

BLOCKS = np.arange(1, 11)
SEEDS = (0, 1)


def streams(stream: object, gradient: object) -> Evidence:
    """The same stream in every setting."""
    tables = [
        pd.DataFrame({"block": BLOCKS, "stream": stream, "gradient": gradient, "seed": seed}).assign(
            residual=shortcut.name, norm=norm.name
        )
        for shortcut, norm in SETTINGS
        for seed in SEEDS
    ]
    return {"stream": {PROBE: pd.concat(tables)}}


def terms(cosine: float) -> Evidence:
    rows = [
        {"residual": "identity", "seed": seed, "cosine": each} for seed in SEEDS for each in (0.0, cosine)
    ]
    return {"terms": {"residual_terms": pd.DataFrame(rows)}}


def thousand(accuracy: float, status: str = "completed") -> Evidence:
    rows = pd.DataFrame({"seed": SEEDS, "final_val_accuracy": accuracy, "status": status})
    return {
        "thousand": {"summary": rows.assign(residual="scaled")},
        "thousand_normalized": {"summary": rows},
    }


def awakened(last: float) -> Evidence:
    """Two layers, the first of which has no gradient at the start."""
    rows = [(0, 1, 0.0), (0, 2, 1.0), (9, 1, last), (9, 2, 1.0)]
    table = pd.DataFrame(rows, columns=["step", "layer", "grad_norm"])
    both = pd.concat([table.assign(seed=seed, run=seed) for seed in SEEDS])
    return {name: {"gradients": both} for name in ("zero", "zeros")}


def degradation(deep: float) -> Evidence:
    rows = [
        {"seed": seed, "depth": depth, "residual": "none", "final_val_accuracy": accuracy}
        for seed in SEEDS
        for depth, accuracy in ((60, deep), (10, 0.9))
    ]
    return {"degradation": {"summary": pd.DataFrame(rows)}}


def correlated(plain: float, with_shortcuts: float) -> Evidence:
    rows = [
        {"seed": seed, "depth": 50, "residual": shortcut, "lag": lag, "correlation": correlation**lag}
        for seed in SEEDS
        for lag in (0, 1, 2)
        for shortcut, correlation in (("none", plain), ("identity", with_shortcuts))
    ]
    return {"shattered": {"input_gradients": pd.DataFrame(rows)}}


DOUBLING = 2.0**BLOCKS
CASES: dict[str, tuple[Claim, Evidence, Evidence]] = {
    "carried": (residual.carried, streams(1.0, 1 / DOUBLING), streams(1.0, DOUBLING**2)),
    "uncancelled": (residual.uncancelled, terms(-0.02), terms(-0.9)),
    "doubled": (residual.doubled, streams(DOUBLING, 1 / DOUBLING), streams(1.0, 1.0)),
    "bounded": (residual.bounded, streams(1.0 + BLOCKS / 20, 1.0), streams(DOUBLING, 1.0)),
    "thousand_layers": (residual.thousand_layers, thousand(0.7), thousand(0.7, "diverged")),
    "still_zero": (residual.still_zero, awakened(0.0), awakened(0.1)),
    "no_degradation": (residual.no_degradation, degradation(0.92), degradation(0.1)),
    "smooth": (residual.smooth, correlated(0.9, 0.9), correlated(0.1, 0.1)),
    "less_shattered": (residual.less_shattered, correlated(0.1, 0.3), correlated(0.3, 0.1)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_claim_holds_for_the_one_table_and_fails_for_the_other(name: str) -> None:
    claim, true, false = CASES[name]
    assert claim(true).verdict == "holds"
    assert claim(false).verdict == "fails"


def test_every_claim_has_its_tables() -> None:
    assert [claim for claim, _, _ in CASES.values()] == list(residual.RESIDUAL.claims)


def test_one_linear_block_has_the_stream_and_the_gradient_of_matrix_products() -> None:
    run = Run(depth=3, width=16, act=Identity(), init=Orthogonal(), residual=IdentityShortcut(), seed=3)
    found = measure_stream(run, examples=8)
    stem, first, second, last = (
        parameter.detach() for parameter in build(run).parameters() if parameter.ndim == 2
    )
    data = load(run.data)
    x = data.train_x[:8].flatten(1) @ stem.T
    stream_to_logits = last @ (torch.eye(16) + second @ first)
    wrong = functional.softmax(x @ stream_to_logits.T, 1) - functional.one_hot(data.train_y[:8], 10)
    gradient = wrong @ stream_to_logits / 8  # the loss is a mean over the examples
    assert found["stream"].tolist() == pytest.approx([float((x**2).sum(1).mean())], rel=1e-4)
    assert found["gradient"].tolist() == pytest.approx([float((gradient**2).sum(1).mean())], rel=1e-4)


def test_blocks_that_start_as_the_identity_change_nothing() -> None:
    found = measure_stream(Run(depth=9, width=16, act=ReLU(), init=He(), residual=Rezero()), examples=8)
    assert len(found) == 4
    assert found["stream"].nunique() == found["gradient"].nunique() == 1
