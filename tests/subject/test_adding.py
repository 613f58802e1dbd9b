"""The adding problem (Hochreiter and Schmidhuber 1997; Le et al. 2015), as the shipped experiment has it."""

from __future__ import annotations

import pytest

from vanishgrad.config.plan import jobs_of, plan_of, without_hydra
from vanishgrad.config.setting import to_setting
from vanishgrad.engine import Result, train


def trained(*overrides: str) -> Result:
    (job,) = jobs_of(plan_of(["experiment=adding", "seed=0", *overrides], multirun=False))
    return train(to_setting(without_hydra(job)).effective)


def per_step(result: Result) -> float:
    """The mean factor by which ||dLoss/dh_t|| changes from one step to the one before, at the start."""
    rows = result.extra["time_gradients"].query("step == 0").set_index("t")["grad_norm"]
    first, last = rows.loc[5], rows.loc[rows.index.max() - 5]
    return float((first / last) ** (1 / (len(rows) - 10)))


@pytest.mark.slow
def test_lstm_solves_length_50_within_3000_steps() -> None:
    result = trained("model=lstm")
    assert result.steps == 3000
    assert float(result.final["val_loss"] or 1) < 0.01
    assert per_step(result) > 0.75


@pytest.mark.slow
def test_a_plain_network_stays_at_the_baseline_at_length_100_and_its_gradient_says_why() -> None:
    result = trained("model=rnn", "data.length=100")
    assert result.steps == 3000
    assert float(result.final["val_loss"] or 0) == pytest.approx(1 / 6, rel=0.1)
    assert per_step(result) < 0.7  # over 100 steps less than 1e-15 arrives
