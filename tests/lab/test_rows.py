"""What claims do with tables."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from vanishgrad.lab.rows import (
    at_first,
    at_last,
    by_condition,
    gained,
    held_out_accuracy,
    in_layer,
    last_value,
    log_fit,
    per_seed,
    ratio,
    relabel,
    steps_to,
    where,
)

LAYERS = np.arange(1, 7)


def test_a_fit_finds_the_line_that_it_was_given() -> None:
    rows = pd.DataFrame({"layer": LAYERS, "delta_norm": 10.0 ** (0.25 * LAYERS)})
    assert log_fit(rows).slope == pytest.approx(0.25)
    assert log_fit(rows).r_squared == pytest.approx(1)


def test_the_fit_explains_as_much_as_the_correlation_says() -> None:
    log = np.array([0.1, 0.9, 1.1, 2.2, 2.3, 7.0])
    rows = pd.DataFrame({"layer": LAYERS, "delta_norm": 10.0**log})
    expected = np.corrcoef(LAYERS[:-1], log[:-1])[0, 1] ** 2  # the last is the output layer
    assert log_fit(rows).r_squared == pytest.approx(expected)


def test_numbers_by_seed_and_condition() -> None:
    rows = pd.DataFrame({"seed": [1, 0, 1, 0], "act": ["relu", "relu", "tanh", "tanh"], "x": [1, 2, 3, 4]})
    assert per_seed(rows[:2], lambda own: own["x"].iloc[0]) == [2, 1]
    found = by_condition(rows, "act", lambda own: own["x"].iloc[0])
    assert found == {"act=relu": [2, 1], "act=tanh": [4, 3]}
    both = by_condition(rows.assign(lr=0.10), ["act", "lr"], lambda own: 0.0)
    assert list(both) == ["act=relu lr=0.1", "act=tanh lr=0.1"]


def test_rows_with_a_value() -> None:
    rows = pd.DataFrame({"act": ["relu", "tanh"], "init.sigma_w": [1.0, 2.0], "val_loss": [3.0, 4.0]})
    assert list(where(rows, act="tanh")["init.sigma_w"]) == [2.0]
    assert list(where(rows, init_sigma_w=1.0)["act"]) == ["relu"]
    assert list(where(rows, val_loss=4.0)["act"]) == ["tanh"]


def test_first_and_last_are_of_each_run() -> None:
    rows = pd.DataFrame({"run": ["a", "a", "b", "b"], "step": [0, 10, 0, 30]})
    assert list(at_first(rows)["run"]) == ["a", "b"]
    assert list(at_last(rows)["step"]) == [10, 30]


def test_layers_count_from_both_ends() -> None:
    rows = pd.DataFrame({"layer": [1, 2, 3], "x": [10.0, 20.0, 30.0]})
    assert [in_layer(rows, "x", place) for place in (1, -1, -2)] == [10.0, 30.0, 20.0]


def test_a_ratio_over_zero_is_infinite_and_zero_over_zero_is_nothing() -> None:
    assert ratio(1.0, 4.0) == 0.25
    assert ratio(1.0, 0.0) == math.inf
    assert math.isnan(ratio(0.0, 0.0))


def test_steps_to_a_threshold() -> None:
    rows = pd.DataFrame({"step": [0, 10, 20, 30], "x": [0.1, np.nan, 0.9, 0.4]})
    assert steps_to(rows, "x", 0.5) == 20
    assert steps_to(rows, "x", 0.95) == math.inf
    assert last_value(rows, "x") == 0.4
    assert math.isnan(last_value(rows.assign(x=np.nan), "x"))


def test_accuracies_at_two_depths_are_held_against_each_other_by_seed() -> None:
    rows = pd.DataFrame(
        {
            "act": "tanh",
            "depth": [1, 1, 9, 9],
            "seed": [1, 0, 0, 1],
            "final_val_accuracy": [0.1, 0.2, 0.7, 0.9],
        }
    )
    found = gained(rows, "act", (9, 1))
    assert found == {"act=tanh": pytest.approx([0.5, 0.8])}
    assert held_out_accuracy(rows) == 0.1


def test_renamed_rows_are_runs_of_their_own() -> None:
    rows = pd.DataFrame({"run": ["0", "1"], "setting": "a", "x": [1, 2]})
    found = relabel(rows, "act=relu")
    assert list(found["run"]) == ["act=relu 0", "act=relu 1"]
    assert set(found["setting"]) == {"act=relu"}
