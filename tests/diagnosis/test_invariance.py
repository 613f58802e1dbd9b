"""What must not change a verdict: scale, batch size, the number of logged steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from vanishgrad import Run, diagnose, train
from vanishgrad.choices.activation import Sigmoid, Tanh
from vanishgrad.choices.data import Digits
from vanishgrad.choices.initialization import He, Xavier
from vanishgrad.choices.normalization import BatchNorm
from vanishgrad.choices.optimizer import Adam
from vanishgrad.choices.residual import Fixup, Rezero
from vanishgrad.diagnosis import Diagnosis
from vanishgrad.engine import Result

Tables = Callable[..., tuple[pd.DataFrame, pd.DataFrame]]
SMALL = Run(width=16, max_steps=250, epochs=1000, batch_size=32, log_every=10, threads=1, init=He(), lr=0.1)
GRADIENTS = ["grad_norm", "bias_grad_norm", "delta_norm"]
LOSSES = ["train_loss", "val_loss", "penalty", "grad_norm", "clipped_grad_norm"]


def names(diagnosis: Diagnosis) -> list[str]:
    return [finding.verdict for finding in diagnosis]


def scaled(rows: pd.DataFrame, metrics: pd.DataFrame, factor: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    rows, metrics = rows.copy(), metrics.copy()
    rows[GRADIENTS] *= factor
    known = [name for name in LOSSES if name in metrics]
    metrics[known] *= factor
    return rows, metrics


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    """Runs of several fates."""
    runs = {
        "healthy": replace(SMALL, depth=3),
        "vanishing": replace(SMALL, depth=14, act=Sigmoid(), init=Xavier()),
        "normalized": replace(SMALL, depth=6, act=Sigmoid(), norm=BatchNorm()),
        "diverged": replace(SMALL, depth=2, lr=1e6),
        "stuck": replace(SMALL, depth=2, lr=1e-8),
    }
    return {name: train(run) for name, run in runs.items()}


@pytest.mark.parametrize("factor", [1e-30, 1e-6, 3.0, 1e6, 1e30])
@pytest.mark.parametrize("name", ["healthy", "vanishing", "normalized", "diverged", "stuck"])
def test_multiplying_loss_and_gradients_changes_no_verdict(
    results: dict[str, Result], name: str, factor: float
) -> None:
    result = results[name]
    known = {"setting": result.setting, "status": result.status, "diverged_at": result.diverged_at}
    plain = diagnose(result.gradients, result.metrics, **known)
    rows, metrics = scaled(result.gradients, result.metrics, factor)
    other = diagnose(rows, metrics, **known)
    assert names(other) == names(plain)
    assert [finding.layers for finding in other] == [finding.layers for finding in plain]
    assert [f.severity for f in other] == pytest.approx([f.severity for f in plain], abs=1e-3)
    alone, blind = diagnose(result.gradients), diagnose(rows)
    assert names(alone) == names(blind)


@pytest.mark.parametrize("seed", range(40))
def test_no_scale_changes_the_verdict_on_random_tables(tables: Tables, seed: int) -> None:
    dice = np.random.default_rng(seed)
    end = float(dice.uniform(0.1, 0.95))
    rows, metrics = tables(float(dice.uniform(-6, 6)), depth=int(dice.integers(1, 15)), accuracy=(0.1, end),
                           dead_fraction=float(dice.uniform()), saturation=float(dice.uniform()))  # fmt: skip
    noise = 10 ** dice.normal(0, 0.3, size=len(rows))
    rows[GRADIENTS] = rows[GRADIENTS].mul(noise, axis=0)
    plain = diagnose(rows, metrics)
    for factor in 10.0 ** dice.uniform(-200, 200, size=3):
        other = diagnose(*scaled(rows, metrics, factor))
        assert (names(other), other.learned) == (names(plain), plain.learned)


def test_the_fates_are_what_they_were_meant_to_be(results: dict[str, Result]) -> None:
    verdicts = {name: result.diagnosis.verdict for name, result in results.items()}
    assert verdicts["healthy"] == verdicts["normalized"] == "learns"
    assert verdicts["vanishing"] == "vanishing"
    assert "diverged" in results["diverged"].diagnosis
    assert verdicts["stuck"] == "not_learning"


@pytest.mark.parametrize("batch_size", [8, 32, 128])
@pytest.mark.parametrize(
    "setting, expected",
    [
        (replace(SMALL, depth=3, lr=0.05), "learns"),
        (replace(SMALL, depth=14, act=Sigmoid(), init=Xavier()), "vanishing"),
    ],
)
def test_the_batch_size_changes_no_verdict(setting: Run, expected: str, batch_size: int) -> None:
    assert train(replace(setting, batch_size=batch_size)).diagnosis.verdict == expected


@pytest.mark.parametrize("residual", [Rezero(), Fixup()])
@pytest.mark.parametrize("max_steps", [0, 10, 250])
def test_branches_that_start_at_zero_are_healthy_at_every_step(
    residual: Rezero | Fixup, max_steps: int
) -> None:
    run = replace(SMALL, depth=9, residual=residual, max_steps=max_steps, lr=0.05)
    found = train(run)
    assert names(found.diagnosis) == []
    assert names(diagnose(found.gradients)) == []


def test_a_converged_network_with_tiny_gradients_is_healthy() -> None:
    run = replace(SMALL, depth=3, act=Tanh(), init=Xavier(), data=Digits(train_size=32), batch_size="full",
                  optim=Adam(), lr=0.01, max_steps=500, log_every=20)  # fmt: skip
    result = train(run)
    last = result.gradients[result.gradients["step"] == result.steps]
    assert last["grad_norm"].max() < 1e-2 * result.gradients["grad_norm"].max()
    assert result.diagnosis.verdict == "learns"
    assert names(diagnose(result.gradients)) == []
