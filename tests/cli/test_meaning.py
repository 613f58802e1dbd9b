"""What the terminal says at the end of a run."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from vanishgrad.cli.meaning import flow, meaning
from vanishgrad.cli.run_table import Scale, _selected
from vanishgrad.report.runs import SavedRun


def a_run(
    slope: float,
    *,
    depth: int = 10,
    status: str = "completed",
    accuracy: float = 0.1,
    end: float | None = None,
) -> SavedRun:
    """A run whose delta_norm shrinks by exactly `slope` decades per layer towards the input."""
    slopes = {0: slope, 20: slope if end is None else end}
    rows = [
        {"step": step, "layer": layer, "delta_norm": 10.0 ** (s * (layer - depth)), "grad_norm": 1.0}
        for step, s in slopes.items()
        for layer in range(1, depth + 2)
    ]
    metrics = pd.DataFrame(
        {
            "step": [0, 20],
            "train_accuracy": [0.1, accuracy],
            "val_accuracy": [0.1, accuracy],
            "train_loss": [2.3, 2.3],
            "val_loss": [2.3, 2.3],
        }
    )
    return SavedRun(Path("run"), {"status": status, "metrics": {}}, pd.DataFrame(rows), metrics)


def test_the_flow_is_the_slope_and_the_ratio_of_the_ends_of_the_hidden_layers() -> None:
    found = flow(a_run(0.5, depth=5), end=False)
    assert found.slope == pytest.approx(0.5)
    assert found.ratio == pytest.approx(1e-2)


def test_vanishing_gradients_are_named_with_factor_and_ratio() -> None:
    assert meaning(a_run(0.5), None) == (
        "Vanishing: gradients shrink 3.16 x per layer towards the input, "
        "and the first layer's is 3.2e-05 of the last hidden layer's."
    )


def test_exploding_gradients_are_named_so() -> None:
    assert meaning(a_run(-1.0), None) == (
        "Exploding: gradients grow 10 x per layer towards the input, "
        "and the first layer's is 1e+09 times the last hidden layer's."
    )


def test_a_diverged_run_tells_step_layer_and_quantity_first() -> None:
    told = meaning(a_run(-1.0, status="diverged"), {"step": 7, "layer": 3, "name": "x", "what": "act_mean"})
    assert told.startswith(
        "Exploding: at step 7 the activations of layer 3 stopped being finite; gradients grow"
    )
    told = meaning(a_run(0.0, status="diverged"), {"step": 7, "layer": 11, "name": "x", "what": "loss"})
    assert told.startswith("Diverged: at step 7 the loss stopped being finite; gradients have about the same")


def test_a_network_that_learns_is_not_called_vanishing() -> None:
    assert meaning(a_run(0.5, accuracy=0.9), None).startswith("It learns: gradients shrink 3.16 x")


def test_a_change_during_training_is_told() -> None:
    assert meaning(a_run(0.5, end=0.0), None).endswith("; at the end they keep their size.")
    assert meaning(a_run(0.5, end=-1.0), None).endswith("; at the end they grow 10 x per layer.")
    assert "at the end" not in meaning(a_run(0.5, end=0.51), None)


def test_without_two_hidden_layers_there_is_no_slope() -> None:
    assert meaning(a_run(0.5, depth=1), None).endswith(
        "too few hidden layers with a gradient to tell a slope."
    )


def test_a_bar_is_logarithmic() -> None:
    scale = Scale.over([1e-3, 1.0], cells=30)
    assert (scale.low, scale.high) == (-3, 0)
    assert [len(scale.bar(10.0**power, ascii_only=True)) for power in (-3, -2, -1, 0)] == [1, 10, 20, 30]
    assert scale.bar(10**-1.5, ascii_only=False) == "█" * 15
    assert scale.bar(10**-1.4875, ascii_only=False) == "█" * 15 + "▏"


@pytest.mark.parametrize("norm, cells", [(0.0, 0), (math.nan, 0), (math.inf, 30)])
def test_a_bar_of_what_has_no_logarithm(norm: float, cells: int) -> None:
    assert len(Scale.over([1e-3, norm, 1.0], cells=30).bar(norm, ascii_only=True)) == cells


def test_a_scale_needs_no_finite_norm() -> None:
    assert Scale.over([0.0, math.inf, math.nan], cells=8) == (0, 1, 8)


@pytest.mark.parametrize("count", [1, 2, 16, 17, 18, 1001])
def test_of_many_layers_the_first_the_middle_and_the_last_are_shown(count: int) -> None:
    shown = _selected(range(1, count + 1))
    layers = [layer for layer in shown if layer is not None]
    assert layers == sorted(set(layers))
    assert (layers[0], layers[-1]) == (1, count)
    if count <= 16:
        assert layers == list(range(1, count + 1))
    else:
        assert layers == [*range(1, 6), *layers[5:10], *range(count - 4, count + 1)]
        assert layers[7] == pytest.approx((count + 1) / 2, abs=1)
