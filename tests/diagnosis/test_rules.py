"""Each rule on tables that were made to show one thing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vanishgrad.diagnosis import Diagnosis, diagnose
from vanishgrad.diagnosis.tables import record_of

Tables = Callable[..., tuple[pd.DataFrame, pd.DataFrame]]
CHANCE = (0.1, 0.11)
TANH = {"act.bounded": True}


def names(diagnosis: Diagnosis) -> list[str]:
    return [finding.finding for finding in diagnosis]


def test_a_level_network_that_learns_is_healthy(tables: Tables) -> None:
    found = diagnose(*tables())
    assert (names(found), found.verdict, found.learned) == ([], "learns", True)


@pytest.mark.parametrize("decades, expected", [(1.5, []), (2.5, ["vanishing"]), (12.0, ["vanishing"])])
def test_vanishing_needs_two_decades_and_a_failure(
    tables: Tables, decades: float, expected: list[str]
) -> None:
    found = names(diagnose(*tables(decades, accuracy=CHANCE, drift=0.1)))
    assert [name for name in found if name != "not_learning"] == expected
    assert "vanishing" not in names(diagnose(*tables(decades)))


def test_the_finding_names_layers_steps_and_numbers(tables: Tables) -> None:
    (found,) = diagnose(*tables(9.9, accuracy=CHANCE))
    assert found.layers == tuple(range(1, 10))  # less than a tenth of the tenth's gradient
    assert found.first_step == 0
    assert found.evidence["decades_lasting"] == pytest.approx(9.9)
    assert found.evidence["decades_per_layer"] == pytest.approx(1.1)
    assert "12.6 x per layer" in found.sentence
    assert "9.9 decades over 10 hidden layers" in found.sentence


def test_a_slope_of_the_start_alone_is_not_lasting(tables: Tables) -> None:
    rows, metrics = tables(accuracy=CHANCE)
    rows.loc[(rows["step"] == 0) & (rows["layer"] < 6), ["delta_norm", "grad_norm"]] = 1e-6
    assert "vanishing" not in names(diagnose(rows, metrics))


def test_a_slope_that_comes_later_is_found_where_it_begins(tables: Tables) -> None:
    late = lambda step, layer: 10 ** (0.0 if step < 150 else 0.5 * (min(layer, 10) - 10))  # noqa: E731
    (found,) = diagnose(*tables(accuracy=CHANCE, delta_norm=late))
    assert (found.finding, found.first_step) == ("vanishing", 150)


@pytest.mark.parametrize(
    "decades, drift, expected",
    [(2.5, None, ["stalled_layers"]), (3.5, None, ["vanishing"]), (3.5, 0.1, []), (7.0, 0.1, ["vanishing"])],
)
def test_without_metrics_more_is_needed_and_layers_that_move_get_a_gradient(
    tables: Tables, decades: float, drift: float | None, expected: list[str]
) -> None:
    found = diagnose(tables(decades, drift=drift)[0])
    assert (names(found), found.learned) == (expected, None)


def test_a_few_steps_are_no_evidence_of_a_failure(tables: Tables) -> None:
    rows, metrics = tables(2.5, steps=5, accuracy=CHANCE)
    assert names(diagnose(rows, metrics.assign(epoch=0))) == []
    rows, metrics = tables(9.0, steps=1, accuracy=CHANCE)
    assert names(diagnose(rows, metrics)) == ["vanishing"]


@pytest.mark.parametrize("column", ["delta_norm", "grad_norm"])
def test_zero_by_construction_is_not_vanishing(tables: Tables, column: str) -> None:
    """Rezero's blocks at step 0, and branches that start at 0."""
    branch = lambda step, layer: 0.0 if layer % 2 == 0 and step == 0 else 1.0  # noqa: E731
    assert names(diagnose(*tables(accuracy=CHANCE, drift=0.1, **{column: branch}))) == ["not_learning"]
    everything = lambda step, layer: 0.0 if layer <= 10 and step == 0 else 1.0  # noqa: E731
    rows, metrics = tables(steps=1, **{column: everything})
    assert names(diagnose(rows, metrics)) == []


def test_frozen_layers_are_not_vanishing_and_not_stalled(tables: Tables) -> None:
    frozen = {
        name: (lambda step, layer: math.nan if layer <= 3 else 1.0)
        for name in ("grad_norm", "bias_grad_norm")
    }
    rows, metrics = tables(drift=None, **frozen, delta_norm=lambda step, layer: 1e-4 if layer <= 3 else 1.0)
    rows.loc[rows["layer"] <= 3, ["weight_drift", "update_ratio"]] = 0.0
    assert names(diagnose(rows, metrics)) == []
    assert names(diagnose(rows)) == []


def test_layers_left_out_of_the_optimizer_are_frozen_too(tables: Tables) -> None:
    rows, metrics = tables()
    rows.loc[rows["layer"] <= 3, ["weight_drift", "update_ratio"]] = 0.0
    assert names(diagnose(rows, metrics)) == []


def test_growth_towards_the_input_is_exploding(tables: Tables) -> None:
    (found,) = diagnose(*tables(-4.0, accuracy=CHANCE, drift=0.1))
    assert found.finding == "exploding"
    assert found.evidence["decades"] == pytest.approx(4.0)
    assert names(diagnose(*tables(-4.0, drift=0.1))) == []


def test_one_layer_beside_the_others_is_no_growth(tables: Tables) -> None:
    stem = lambda step, layer: 1e6 if layer == 1 else 1.0  # noqa: E731
    assert "exploding" not in names(diagnose(*tables(accuracy=CHANCE, drift=0.1, delta_norm=stem)))


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("decades", [12.0, 0.0, -12.0])
def test_what_is_not_finite_exploded_and_never_vanished(tables: Tables, value: float, decades: float) -> None:
    rows, metrics = tables(decades, accuracy=CHANCE)
    last = rows["step"] == rows["step"].max()
    rows.loc[last, ["grad_norm", "bias_grad_norm", "delta_norm"]] = value
    found = names(diagnose(rows, metrics))
    assert set(found) == {"diverged", "exploding"}
    assert names(diagnose(rows)) == found
    assert found[0] == ("exploding" if decades < 0 else "diverged")


def test_a_divergence_tells_its_first_step_and_layer(tables: Tables) -> None:
    rows, metrics = tables(accuracy=CHANCE)
    rows.loc[(rows["step"] >= 300) & (rows["layer"] >= 4), ["act_mean", "act_std"]] = math.inf
    rows.loc[rows["step"] >= 300, ["grad_norm", "delta_norm"]] = math.nan
    found = {finding.finding: finding for finding in diagnose(rows, metrics)}["diverged"]
    assert (found.first_step, found.layers) == (300, (4,))
    assert found.sentence == "At step 300 the activations of layer 4 stopped being finite."
    told = diagnose(
        rows, metrics, status="diverged", diverged_at={"step": 297, "layer": 2, "what": "weight_norm"}
    )
    assert [(f.first_step, f.layers) for f in told if f.finding == "diverged"] == [(297, (2,))]


def test_a_loss_that_is_lost_is_a_divergence(tables: Tables) -> None:
    rows, metrics = tables()
    metrics.loc[metrics.index[-1], "train_loss"] = math.nan
    assert "diverged" in diagnose(rows, metrics)


def test_a_layer_that_is_used_now_and_then_is_no_divergence(tables: Tables) -> None:
    rows, metrics = tables()
    rows.loc[(rows["layer"] == 3) & (rows["step"] % 20 == 10), ["grad_norm", "delta_norm", "act_mean"]] = (
        math.nan
    )
    assert names(diagnose(rows, metrics)) == []


def test_dead_units_are_those_that_stay_dead(tables: Tables, setting: dict[str, Any]) -> None:
    setting |= {"act": {"name": "relu"}}
    dead = lambda step, layer: 0.95 if layer == 4 and step >= 100 else 0.0  # noqa: E731
    (found,) = diagnose(*tables(accuracy=CHANCE, drift=0.1, dead_fraction=dead), setting=setting)
    assert (found.finding, found.layers, found.first_step) == ("dead_units", (4,), 100)
    once = lambda step, layer: 0.95 if layer == 4 and step % 50 else 0.0  # noqa: E731
    assert "dead_units" not in diagnose(*tables(dead_fraction=once), setting=setting)


def test_half_of_deep_units_may_be_off_for_a_whole_batch(tables: Tables, setting: dict[str, Any]) -> None:
    setting |= {"act": {"name": "relu"}}
    half = lambda step, layer: min(0.5, 0.1 * (layer - 1))  # noqa: E731
    assert "dead_units" not in diagnose(
        *tables(accuracy=CHANCE, drift=0.1, dead_fraction=half), setting=setting
    )


def test_in_a_small_batch_seldom_is_not_dead(tables: Tables, setting: dict[str, Any]) -> None:
    setting |= {"act": {"name": "relu"}}
    seldom = tables(dead_fraction=lambda step, layer: 0.92)
    assert "dead_units" not in diagnose(*seldom, setting=setting | {"batch_size": 4})
    assert "dead_units" in diagnose(*seldom, setting=setting)


def test_units_counted_on_all_data_need_no_batch(tables: Tables, setting: dict[str, Any]) -> None:
    setting |= {"act": {"name": "relu"}}
    counted = pd.DataFrame([{"step": step, "layer": layer, "units": 64, "dead_fraction": 0.4 * (step > 0)}
                            for step in (0, 200, 400) for layer in range(1, 11)])  # fmt: skip
    found = diagnose(*tables(accuracy=CHANCE, drift=0.1), setting=setting, dead_units=counted)
    assert [(f.finding, f.first_step) for f in found] == [("dead_units", 200)]


def test_the_inactive_half_of_relu_is_not_saturation(tables: Tables, setting: dict[str, Any]) -> None:
    for level in (0.5, 0.8, 0.99):
        relu = tables(accuracy=CHANCE, drift=0.1, saturation=level, act_mean=0.4, act_std=0.58)
        assert "saturated" not in diagnose(*relu, setting=setting | {"act": {"name": "relu"}})
        assert "saturated" not in diagnose(*relu)
        assert "saturated" not in diagnose(relu[0])


@pytest.mark.parametrize("mean, deviation", [(0.0, 0.99), (0.5, 0.48)])
def test_a_bounded_activation_at_its_ends_is_saturated(
    tables: Tables, setting: dict[str, Any], mean: float, deviation: float
) -> None:
    """tanh at -1 and 1, sigmoid at 0 and 1; without the setting the outputs tell."""
    flat = lambda step, layer: 0.97 if layer in (2, 3) and step >= 50 else 0.1  # noqa: E731
    given = tables(accuracy=CHANCE, drift=0.1, saturation=flat, act_mean=mean, act_std=deviation)
    for found in (diagnose(*given, setting=setting), diagnose(*given), diagnose(given[0])):
        assert [(f.finding, f.layers, f.first_step) for f in found] == [("saturated", (2, 3), 50)]
    assert names(diagnose(*tables(saturation=flat), setting=setting)) == []  # two layers, and it learns


def test_saturation_and_vanishing_are_both_told_the_worse_first(
    tables: Tables, setting: dict[str, Any]
) -> None:
    found = diagnose(*tables(9.0, accuracy=CHANCE, saturation=0.65), setting=setting, answers=TANH)
    assert names(found) == ["vanishing", "saturated"]
    assert found.findings[0].severity > found.findings[1].severity
    assert found.verdict == "vanishing"


def test_first_layers_that_stay_behind_are_stalled(tables: Tables) -> None:
    slow = lambda step, layer: (1e-4 if layer <= 3 else 0.3) * step / 400  # noqa: E731
    (found,) = diagnose(*tables(weight_drift=slow))
    assert (found.finding, found.layers) == ("stalled_layers", (1, 2, 3))
    assert found.severity < 0.5  # it learns all the same
    assert "stalled_layers" not in diagnose(
        *tables(3.0, accuracy=CHANCE, weight_drift=slow)
    )  # vanishing says it
    level = lambda step, layer: 1e-4 * step / 400  # noqa: E731
    assert names(diagnose(*tables(weight_drift=level))) == []


def test_a_loss_that_swings_is_oscillating(tables: Tables) -> None:
    rows, metrics = tables(accuracy=CHANCE, drift=0.1, update_ratio=0.05)
    swings = 2.0 + np.where(np.arange(len(metrics)) % 2, 0.8, 0.0)
    assert names(diagnose(rows, metrics.assign(train_loss=swings))) == ["oscillating"]
    noise = 2.3 + 0.05 * np.sin(np.arange(len(metrics)) ** 2)
    assert names(diagnose(rows, metrics.assign(train_loss=noise))) == ["not_learning"]
    short = rows.assign(update_ratio=1e-3)  # from batch to batch alone
    assert names(diagnose(short, metrics.assign(train_loss=swings))) == ["not_learning"]


def test_a_network_that_learns_swings_only_above_its_start(tables: Tables) -> None:
    given = tables(update_ratio=0.05)
    swings = 2.0 + np.where(np.arange(len(given[1])) % 2, 0.8, 0.0)
    lower = np.concatenate([[2.3], swings[1:] / 2])
    assert names(diagnose(*_with_loss(given, lower))) == []
    assert names(diagnose(*_with_loss(given, swings * 2))) == ["oscillating"]  # it loses all the same


def test_what_the_steps_threw_away_has_not_vanished(tables: Tables) -> None:
    late = lambda step, layer: 10 ** (0.0 if step < 150 else 0.5 * (min(layer, 10) - 10))  # noqa: E731
    rows, metrics = tables(accuracy=CHANCE, delta_norm=late, weight_drift=lambda step, layer: step / 20)
    assert "vanishing" not in diagnose(rows, metrics)


def test_weights_that_a_penalty_pulls_to_zero_are_no_vanishing_and_no_death(
    tables: Tables, setting: dict[str, Any]
) -> None:
    setting |= {"act": {"name": "relu"}, "reg": {"name": "l2", "strength": 1.0}}
    shrinking = lambda step, layer: 8.0 if step < 100 else 1e-4  # noqa: E731
    given = tables(5.0, accuracy=CHANCE, weight_norm=shrinking, dead_fraction=1.0, drift=1.0)
    fitting = ["adam", "no_penalty", "large_rate"]
    (found,) = diagnose(*given, setting=setting, answers={"act.bounded": False}, fitting=fitting)
    assert found.finding == "not_learning"
    assert "have shrunk to" in found.sentence
    assert found.remedies[0].override == "reg=none"


def test_weights_that_start_at_zero_are_no_vanishing_and_no_death(tables: Tables) -> None:
    blank = lambda step, layer: 0.0 if step == 0 else 1e-3  # noqa: E731
    found = diagnose(*tables(5.0, accuracy=CHANCE, weight_norm=blank, dead_fraction=1.0, drift=1.0))
    assert names(found) == ["not_learning"]


def test_what_exploded_at_the_start_may_have_saturated_since(tables: Tables, setting: dict[str, Any]) -> None:
    first = lambda step, layer: 10 ** ((0.5 if step else -0.5) * (min(layer, 10) - 10))  # noqa: E731
    found = diagnose(*tables(accuracy=CHANCE, delta_norm=first, saturation=0.99, drift=0.5), answers=TANH)
    assert set(names(found)) == {"exploding", "saturated"}


def test_small_updates_that_round_to_nothing_do_not_freeze_a_layer(tables: Tables) -> None:
    drift = lambda step, layer: 1e-7 if layer == 4 and step else 0.0  # noqa: E731
    assert names(diagnose(*tables(-4.0, accuracy=CHANCE, weight_drift=drift))) == ["exploding"]


def _with_loss(given: tuple[pd.DataFrame, pd.DataFrame], loss: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    return given[0], given[1].assign(train_loss=loss)


def test_no_progress_without_another_reason_is_not_learning(tables: Tables) -> None:
    (found,) = diagnose(*tables(accuracy=CHANCE, update_ratio=1e-7, drift=1e-4))
    assert found.finding == "not_learning"
    assert "too little to get anywhere" in found.sentence
    (found,) = diagnose(*tables(accuracy=CHANCE, delta_norm=lambda s, layer: 0.0 if layer <= 10 else 1.0))
    assert "exactly 0" in found.sentence
    slow = diagnose(*tables(accuracy=(0.1, 0.25)))  # a sixth of the error is gone
    assert (names(slow), slow.verdict) == ([], "healthy")


def through_time(decades: float, cell: float | None = None, length: int = 30) -> pd.DataFrame:
    t = np.arange(1, length + 1)
    place = (t - length) / (length - 1)
    one = {"layer": 1, "t": t, "grad_norm": 10.0 ** (decades * place),
           "cell_grad_norm": math.nan if cell is None else 10.0 ** (cell * place)}  # fmt: skip
    return pd.concat([pd.DataFrame({"step": step} | one) for step in (0, 200, 400)])


@pytest.mark.parametrize(
    "decades, cell, expected",
    [
        (9.0, None, "vanishing through time"),
        (-9.0, None, "exploding through time"),
        (1.0, None, "not_learning"),
        (9.0, 1.0, "not_learning"),
    ],
)
def test_through_time(tables: Tables, decades: float, cell: float | None, expected: str) -> None:
    """An LSTM's cell is a way of its own: the gradient has not vanished while that is open."""
    failing = tables(depth=1, accuracy=CHANCE, drift=0.1)
    found = diagnose(*failing, time_gradients=through_time(decades, cell))
    assert found.verdict == expected
    assert diagnose(*tables(depth=1), time_gradients=through_time(decades, cell)).verdict == "learns"


def test_a_baseline_is_what_learning_is_measured_by(tables: Tables) -> None:
    given = tables(accuracy=(0.1, 0.4), drift=0.1)
    assert diagnose(*given).verdict == "learns"
    assert diagnose(*given, baseline={"metric": "val_accuracy", "value": 0.38}).verdict == "not_learning"


def test_no_rows_are_no_finding(tables: Tables) -> None:
    rows, metrics = tables()
    assert names(diagnose(rows.iloc[:0], metrics.iloc[:0])) == []


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_networks_too_shallow_for_a_slope(tables: Tables, depth: int) -> None:
    assert names(diagnose(*tables(depth=depth))) == []
    assert names(diagnose(*tables(depth=depth, accuracy=CHANCE, drift=0.1))) == ["not_learning"]


def test_the_layers_of_a_recurrent_network_count_together(tables: Tables) -> None:
    """At the last of two time steps the norms are 3e4 and 4e4, at the first 0 and 5: four decades."""
    rows = pd.DataFrame(
        [{"step": step, "layer": layer, "t": t, "grad_norm": norm, "cell_grad_norm": math.nan}
         for step in (0, 200, 400)
         for layer, t, norm in ((1, 1, 0.0), (2, 1, 5.0), (1, 2, 3e4), (2, 2, 4e4))]
    )  # fmt: skip
    (found,) = (
        one
        for one in diagnose(*tables(depth=2, accuracy=CHANCE, drift=0.1), time_gradients=rows)
        if one.where == "time"
    )
    assert found.evidence["decades_lasting"] == pytest.approx(4.0)


@pytest.mark.parametrize("below, frozen", [(2.97, True), (3.03, False)])
def test_an_exact_zero_of_a_change_is_rounding_far_below_the_others(
    tables: Tables, below: float, frozen: bool
) -> None:
    rows, _ = tables(grad_norm=lambda step, layer: 10**-below if layer == 3 else 1.0)
    rows.loc[rows["layer"] == 3, "weight_drift"] = 0.0
    assert record_of(rows).trained.tolist() == [layer != 3 or not frozen for layer in range(1, 12)]


@pytest.mark.parametrize("moved, frozen", [(0.99e-3, False), (1.01e-3, True)])
def test_a_layer_that_stands_still_is_frozen_where_others_move(
    tables: Tables, moved: float, frozen: bool
) -> None:
    rows, _ = tables(weight_drift=lambda step, layer: moved if layer != 3 and step else 0.0)
    assert record_of(rows).trained.tolist() == [layer != 3 or not frozen for layer in range(1, 12)]
