"""The speed of learning by layer (Nielsen 2015, Neural Networks and Deep Learning, chapter 5)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vanishgrad.config.plan import jobs_of, plan_of, without_hydra
from vanishgrad.config.setting import to_setting
from vanishgrad.engine import train
from vanishgrad.run import Run

# ||dLoss/db|| of the hidden layers at the start, as the book gives them for its one draw of the weights
PUBLISHED = {2: (0.07, 0.31), 3: (0.012, 0.06, 0.28), 4: (0.003, 0.017, 0.07, 0.285)}


def runs(data_root: Path, *overrides: str) -> list[Run]:
    typed = ["experiment=speed_of_learning", f"data.root={data_root / 'mnist'}", *overrides]
    return [to_setting(without_hydra(job)).effective for job in jobs_of(plan_of(typed, multirun=False))]


def bias_norms(runs: list[Run]) -> pd.DataFrame:
    """Rows `(depth, seed, step)`, a column for each hidden layer."""
    found = []
    for run in runs:
        rows = train(run).gradients.query("layer <= @run.depth")
        found.append(rows.assign(depth=run.depth, seed=run.seed))
    return pd.concat(found).pivot(index=["depth", "seed", "step"], columns="layer", values="bias_grad_norm")


def test_the_experiment_is_the_books(data_root: Path) -> None:
    found = runs(data_root)
    assert {(run.depth, run.seed) for run in found} == {(d, s) for d in (2, 3, 4) for s in range(20)}
    run = found[0]
    assert (run.width, run.rate, run.batch_size, run.criterion.name) == (30, 0.1, "full", "bce")
    assert run.reg.strength == pytest.approx(5 / (2 * 1000))  # type: ignore[attr-defined]
    assert (run.data.train_size, run.epochs, run.act.name) == (1000, 500, "sigmoid")


@pytest.mark.slow
def test_gradients_at_the_start_are_of_the_published_sizes(data_root: Path) -> None:
    # the norms of single draws spread by a third: of twenty draws the median may still miss by a tenth
    table = bias_norms(runs(data_root, "seed=range(100)", "epochs=0", "measure=gradients"))
    for depth, published in PUBLISHED.items():
        medians = table.loc[depth].median().dropna().to_numpy()
        assert len(medians) == depth
        ratio = medians / np.array(published)
        assert ((ratio > 1 / 1.5) & (ratio < 1.5)).all(), f"{depth} hidden layers: {medians}"


@pytest.mark.slow
def test_layers_near_the_input_stay_behind_over_500_steps(data_root: Path) -> None:
    table = bias_norms(
        runs(data_root, "seed=range(5)", "measure=gradients", "eval_every=500", "log_every=10")
    )
    for depth in PUBLISHED:
        medians = table.loc[depth].groupby("step").median().dropna(axis=1)
        assert medians.index[-1] == 500
        assert (medians.diff(axis=1).iloc[:, 1:] > 0).all(axis=None)
