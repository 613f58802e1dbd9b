"""The two ways in which units of relu die, and what prevents or cures it: the experiments as shipped."""

from __future__ import annotations

import pandas as pd

from vanishgrad.config.plan import jobs_of, plan_of, without_hydra
from vanishgrad.config.setting import to_setting
from vanishgrad.engine import train


def outcome(experiment: str, seeds: str = "0,1,2") -> pd.DataFrame:
    """Dead fraction of all units at the start and at the end, and accuracy: medians over seeds."""
    rows = []
    plan = plan_of([f"experiment={experiment}", f"seed={seeds}"], multirun=False)
    for setting in (to_setting(without_hydra(job)) for job in jobs_of(plan)):
        result = train(setting.effective)
        table = result.extra["dead_units"]
        dead = (table["units"] * table["dead_fraction"]).groupby(table["step"]).sum()
        share = dead / table["units"].groupby(table["step"]).sum()
        accuracy = result.final.get("val_accuracy") if result.status == "completed" else 0.0
        rows.append((setting.remedy.name, share.iloc[0], share.iloc[-1], accuracy))
    table = pd.DataFrame(rows, columns=["remedy", "born", "died", "accuracy"])
    return table.groupby("remedy").median()


def test_a_rate_too_high_kills_most_units_and_each_cure_keeps_them_alive() -> None:
    found = outcome("dead_relu_rate")
    assert found.loc["none", "born"] < 0.1
    assert found.loc["none", "died"] > 0.6
    cures = found.drop(["none", "xavier"])
    assert (cures["died"] < 0.3).all()
    assert (cures["accuracy"] > found.loc["none", "accuracy"]).all()
    assert (found.loc[["leaky_relu", "prelu", "elu"], "died"] == 0).all()
    assert found.loc["xavier", "died"] > 0.6  # other initial weights do not save units from the rate


def test_units_born_dead_stay_dead_without_a_cure() -> None:
    found = outcome("dead_relu_init")
    assert found.loc["none", "born"] > 0.35
    assert found.loc["none", "died"] > 0.35
    assert found.loc["none", "accuracy"] < 0.2
    assert (found.loc[["xavier", "he", "batchnorm"], "died"] < 0.1).all()
    assert (found.loc[["xavier", "he", "batchnorm", "adagrad"], "accuracy"] > 0.8).all()
    assert (found.loc[["leaky_relu", "prelu", "elu"], "died"] == 0).all()
