"""One row per layer, thinned steps, and the start and the end of a run."""

from __future__ import annotations

import math
import random

import numpy as np
import pandas as pd
import pytest

from vanishgrad.diagnosis.describe import _ratio
from vanishgrad.diagnosis.finding import layers
from vanishgrad.diagnosis.layers import at_end, at_start, by_layer, moment, thin

INF, NAN = float("inf"), float("nan")


def two_matrices(first: float, second: float) -> pd.DataFrame:
    """A layer of two weight matrices at steps 0 and 1: weights of norm 3 and 4, doubled at step 1."""
    rows = [
        {"step": step, "layer": 1, "name": name, "grad_norm": norm, "weight_norm": weight * (1 + step),
         "update_ratio": 0.5, "weight_drift": step * drift, "saturation": part}
        for step in (0, 1)
        for name, norm, weight, drift, part in (("a", first, 3.0, 1.0, 0.2), ("b", second, 4.0, 2.0, 0.4))
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_norms_of_one_layer_combine_by_root_of_sum_of_squares(scale: float) -> None:
    combined = by_layer(two_matrices(3.0 * scale, 4.0 * scale))
    assert list(combined["grad_norm"] / scale) == pytest.approx([5.0, 5.0])
    assert list(combined["weight_norm"]) == pytest.approx([5.0, 10.0])


def test_ratios_of_one_layer_are_those_of_its_weights_taken_together() -> None:
    combined = by_layer(two_matrices(3.0, 4.0))
    assert list(combined["update_ratio"]) == pytest.approx([0.5, 0.5])
    # ||W - W_0|| is 1 * 3 and 2 * 4, ||W_0|| is 5
    assert list(combined["weight_drift"]) == pytest.approx([0.0, math.hypot(3.0, 8.0) / 5.0])
    assert list(combined["saturation"]) == pytest.approx([0.3, 0.3])


@pytest.mark.parametrize(
    "first, second, expected", [(0.0, 0.0, 0.0), (INF, 1.0, INF), (NAN, 2.0, 2.0), (NAN, NAN, NAN)]
)
def test_zeros_infinities_and_gaps_combine(first: float, second: float, expected: float) -> None:
    combined = by_layer(two_matrices(first, second))["grad_norm"].iloc[0]
    assert combined == pytest.approx(expected, nan_ok=True)


def test_one_matrix_per_layer_is_left_as_it_is() -> None:
    rows = two_matrices(3.0, 4.0).query("name == 'a'")
    pd.testing.assert_frame_equal(by_layer(rows), rows.drop(columns="name"))


@pytest.mark.parametrize(
    "names, deltas, expected",
    [
        (["xi_1", "hi_1", "xf_1", "hf_1"], [3.0, 3.0, 4.0, 4.0], 5.0),
        (["cell.x_1", "cell.h_1"], [2.0, 2.0], 2.0),
        (["xn_1", "hn_1"], [5.0, 1.0], 5.0),  # the reset gate stands between hn and the sum
        (["hi_1", "xi_1"], [NAN, 7.0], 7.0),
        (["a.xi_1", "b.linear"], [3.0, 4.0], 5.0),
    ],
)
def test_matrices_added_up_to_one_z_count_its_gradient_once(
    names: list[str], deltas: list[float], expected: float
) -> None:
    rows = pd.DataFrame({"step": 0, "layer": 1, "name": names, "grad_norm": 1.0, "delta_norm": deltas})
    combined = by_layer(rows.assign(weight_norm=1.0))
    assert list(combined["delta_norm"]) == pytest.approx([expected])
    assert list(combined["grad_norm"]) == pytest.approx([math.sqrt(len(names))])


def test_thinning_keeps_the_first_and_the_last_step_and_is_alike_for_equal_lengths() -> None:
    rows = pd.DataFrame({"step": [step for step in range(1001) for _ in range(2)]})
    kept = thin(rows, 100)["step"]
    assert kept.iloc[0] == 0
    assert kept.iloc[-1] == 1000
    assert kept.nunique() <= 101
    assert (kept.value_counts() == 2).all()
    assert thin(rows, 2000).equals(rows)
    assert thin(rows.iloc[:0], 10).empty


def profile(values: dict[int, list[float]]) -> pd.DataFrame:
    return pd.DataFrame(
        {"run": "0", "step": step, "layer": layer, "grad_norm": value}
        for step, norms in values.items()
        for layer, value in enumerate(norms, 1)
    )


def test_the_end_of_a_diverged_run_is_its_last_finite_step() -> None:
    rows = profile({0: [1.0, 2.0], 10: [3.0, 4.0], 11: [INF, 5.0]})
    assert set(at_end(rows, "grad_norm")["step"]) == {10}
    assert set(at_start(rows, "grad_norm")["step"]) == {0}


def test_a_layer_that_never_has_a_value_does_not_move_the_end() -> None:
    rows = profile({0: [1.0, NAN], 10: [3.0, NAN]})
    assert set(at_end(rows, "grad_norm")["step"]) == {10}


def test_a_column_that_was_not_measured_has_neither_start_nor_end() -> None:
    rows = profile({0: [NAN, NAN]})
    assert at_start(rows, "grad_norm").empty
    assert at_end(rows, "grad_norm").empty


def test_many_runs_at_once_have_the_starts_and_ends_of_each_alone() -> None:
    chance = random.Random(0)
    rows = [
        {"run": str(run), "step": step, "layer": layer, "grad_norm": chance.choice([1.0, 2.0, NAN, INF])}
        for run in range(40)
        for step in sorted(chance.sample(range(12), chance.randint(1, 5)))
        for layer in range(1, chance.randint(2, 4))
    ]
    frame = pd.DataFrame(chance.sample(rows, len(rows)))
    for together, when in ((at_start, "start"), (at_end, "end")):
        alone = pd.concat([moment(own, "grad_norm", when) for _, own in frame.groupby("run")])
        assert 0 < len(alone) < len(frame)
        pd.testing.assert_frame_equal(together(frame, "grad_norm").sort_index(), alone.sort_index())


@pytest.mark.parametrize(
    "numbers, said",
    [
        ([], "no layer"),
        ([3], "layer 3"),
        ([3, 4], "layers 3 and 4"),
        ([3, 4, 5], "layers 3 to 5"),
        ([1, 2, 5], "layers 1, 2 and 5"),
        ([1, 2, 3, 4, 5, 7], "layers 1, 2, 3, 4, 5 and 7"),
        ([1, 2, 3, 4, 5, 6, 8], "7 layers from 1 to 8"),
    ],
)
def test_layers_are_told_in_the_shortest_words(numbers: list[int], said: str) -> None:
    assert layers(numbers) == said


@pytest.mark.parametrize(
    "norms, ratio",
    [
        ([1.0, 4.0, 2.0], 0.5),
        ([0.0, 4.0, 2.0], 0.0),
        ([math.nan, 4.0, 2.0], math.nan),
        ([1.0, 4.0, math.nan], math.nan),
        ([1.0, 4.0, 0.0], math.nan),
        ([1.0], math.nan),
        ([1.0, math.nan, 2.0], 0.5),
    ],
)
def test_the_first_hidden_layer_is_compared_with_the_last(norms: list[float], ratio: float) -> None:
    assert _ratio(np.array(norms)) == pytest.approx(ratio, nan_ok=True)
