"""What the terminal says at the end of a run."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from vanishgrad.cli.run_table import EndedRun, _moments, _slopes
from vanishgrad.cli.terminal import Scale, selected
from vanishgrad.diagnosis.describe import Flow, first_flow, flow, headline, meaning
from vanishgrad.diagnosis.layers import measured
from vanishgrad.report.runs import SavedRun


def a_run(
    slope: float,
    *,
    depth: int = 10,
    status: str = "completed",
    accuracy: float = 0.1,
    end: float | None = None,
    last: int = 220,
    epochs: int = 10,
    diverged_at: dict[str, Any] | None = None,
) -> SavedRun:
    """A run whose delta_norm shrinks by exactly `slope` decades per layer towards the input."""
    slopes = {last: slope if end is None else end} | {0: slope}
    rows = [
        {"step": step, "layer": layer, "delta_norm": 10.0 ** (s * (layer - depth)), "grad_norm": 1.0}
        for step, s in sorted(slopes.items())
        for layer in range(1, depth + 2)
    ]
    metrics = pd.DataFrame(
        {
            "step": [0, last],
            "epoch": [0, epochs],
            "train_accuracy": [0.1, accuracy],
            "val_accuracy": [0.1, accuracy],
            "train_loss": [2.3, 2.3],
            "val_loss": [2.3, 2.3],
        }
    )
    return SavedRun(
        Path("run"),
        {"status": status, "metrics": {}, "diverged_at": diverged_at},
        pd.DataFrame(rows),
        metrics,
    )


def ended(run: SavedRun) -> EndedRun:
    """The run as the terminal sees it."""
    return EndedRun(run.record, measured(run.gradients))


def said(run: SavedRun) -> str:
    """The sentence that the terminal prints."""
    return meaning(measured(run.gradients), run.metrics, {}, run.diagnosis)


def test_the_flow_is_the_slope_and_the_ratio_of_the_ends_of_the_hidden_layers() -> None:
    found = flow(measured(a_run(0.5, depth=5).gradients), "start")
    assert found.slope == pytest.approx(0.5)
    assert found.ratio == pytest.approx(1e-2)


def test_vanishing_gradients_are_named_with_factor_and_ratio() -> None:
    assert said(a_run(0.5)) == (
        "Vanishing: the gradient shrinks 3.16 x per layer on its way to the input, by 4.5 decades over 10 "
        "hidden layers."
    )


def test_exploding_gradients_are_named_so() -> None:
    assert said(a_run(-1.0)) == (
        "Exploding: the gradient grows 10 x per layer on its way to the input, by 9.0 decades over 10 hidden "
        "layers."
    )


def test_a_diverged_run_tells_step_layer_and_quantity_in_the_findings_own_words() -> None:
    at = {"step": 7, "layer": 3, "name": "x", "what": "act_mean"}
    assert said(a_run(-1.0, status="diverged", diverged_at=at)) == (
        "Exploding: the gradient grows 10 x per layer on its way to the input, by 9.0 decades over 10 hidden "
        "layers. Diverged: at step 7 the activations of layer 3 stopped being finite."
    )
    lost = {"step": 7, "layer": 11, "name": "x", "what": "loss"}
    assert said(a_run(0.0, status="diverged", diverged_at=lost)).startswith(
        "Diverged: at step 7 the loss stopped being finite. At the start gradients have about"
    )


def test_the_sentence_of_a_finding_is_the_only_one_on_what_it_is_about() -> None:
    """A median over the run and the first step never stand side by side as if they were two things."""
    run = a_run(0.5, end=0.52)
    (finding,) = run.diagnosis.findings
    assert said(run) == f"Vanishing: {finding.sentence[0].lower()}{finding.sentence[1:]}"
    assert headline("act=tanh", finding, Flow(0.5), "layers") == f"act=tanh: {finding.sentence}"
    assert headline("", None, Flow(0.5), "layers") == (
        "At the start gradients shrink 3.16 x per layer towards the input."
    )


def test_a_network_that_learns_is_not_called_vanishing() -> None:
    assert said(a_run(0.5, accuracy=0.9)).startswith("It learns. At the start gradients shrink 3.16 x")


def test_a_change_during_training_is_told() -> None:
    assert said(a_run(0.5, end=0.0, accuracy=0.9)).endswith("; at the end they keep their size.")
    assert said(a_run(0.5, end=-1.0, accuracy=0.9)).endswith("; at the end they grow 10 x per layer.")
    assert "at the end" not in said(a_run(0.5, end=0.51, accuracy=0.9))


def test_without_two_hidden_layers_there_is_no_slope() -> None:
    assert said(a_run(0.5, depth=1)) == (
        "Not learning: after 220 steps the loss is 2.3, at first it was 2.3; gradients reach every layer, so "
        "that the cause is not their size. There is no slope with fewer than two hidden layers."
    )
    assert _slopes(ended(a_run(0.5, depth=1))) == ""


@pytest.mark.parametrize(
    "last, epochs, opening",
    [
        (0, 0, "Not trained yet."),
        (1, 0, "Not learned after 1 step."),
        (199, 2, "Not learned after 199 steps."),
        (200, 2, "Not learning: "),
        (22, 3, "Not learning: "),
    ],
)
def test_too_little_training_is_no_evidence_of_a_failure(last: int, epochs: int, opening: str) -> None:
    assert said(a_run(0.1, depth=5, last=last, epochs=epochs)).startswith(opening)


def test_a_slope_that_is_small_across_all_layers_is_none() -> None:
    """0.03 decades per layer are 0.27 over 10 hidden layers, 2.97 over 100."""
    assert "about the same size in every hidden layer" in said(a_run(0.03, accuracy=0.9))
    assert "gradients shrink 1.07 x per layer" in said(a_run(0.03, depth=100, accuracy=0.9))


def with_signal(run: SavedRun, step: int, norms: list[float]) -> SavedRun:
    """`run` with the norms of one step replaced."""
    run.gradients.loc[run.gradients["step"] == step, "delta_norm"] = norms
    return run


@pytest.mark.parametrize(
    "first, told",
    [
        (0.04, "shrink {} x per layer towards the input, and the first layer's is 0.04 of the last hidden"),
        (0.6, "shrink {} x per layer towards the input."),
        (1.9, "shrink {} x per layer towards the input."),
        (30.0, "shrink {} x per layer towards the input, but the first layer's is 30 times the last hidden"),
        (0.0, "shrink {} x per layer towards the input, and the first layer's is exactly 0"),
    ],
)
def test_a_ratio_near_one_is_left_out_and_one_against_the_trend_is_marked(first: float, told: str) -> None:
    run = with_signal(a_run(0.0, last=0, accuracy=0.9), 0, [first, *[1e-6] * 4, *[1.0] * 6])
    factor = f"{10 ** first_flow(measured(run.gradients)).slope:.3g}"
    assert told.format(factor) in said(run)


def test_the_bars_are_of_the_norms_that_the_sentence_compares() -> None:
    run = a_run(0.5, depth=5)
    norms = _moments(ended(run))[0]
    assert norms == pytest.approx({layer: 10 ** (0.5 * (layer - 5)) for layer in range(1, 7)})
    assert norms[1] / norms[5] == pytest.approx(first_flow(measured(run.gradients)).ratio)
    without = replace(run, gradients=run.gradients.assign(delta_norm=math.nan))
    assert set(_moments(ended(without))[0].values()) == {1.0}


def test_gradients_that_are_zero_by_construction_are_described_where_they_begin() -> None:
    run = with_signal(a_run(0.5, depth=5, accuracy=0.9), 0, [0.0] * 5 + [1.0])
    middle = run.gradients[run.gradients["step"] == 220].assign(step=10)
    rows = pd.concat([run.gradients, middle]).sort_values("step", kind="stable")
    run = SavedRun(run.folder, run.record, rows, run.metrics)
    assert said(run).startswith("It learns. At step 10 gradients shrink 3.16 x per layer")
    assert list(_moments(ended(run))) == [0, 10, 220]
    assert _slopes(ended(run)).startswith("slope +0.500 at step 10, +0.500 at the end (")


def test_gradients_that_stay_zero_are_said_to_be_once() -> None:
    for accuracy, hidden, every in (
        (
            0.1,
            "; every hidden layer's gradient is exactly 0.",
            "; every hidden layer's gradient is exactly 0.",
        ),
        (
            0.9,
            "It learns. Every hidden layer's gradient is exactly 0.",
            "It learns. Every gradient is exactly 0.",
        ),
    ):
        run = a_run(0.5, depth=3, accuracy=accuracy)
        for step in (0, 220):
            with_signal(run, step, [0.0, 0.0, 0.0, 1.0])
        assert said(run).endswith(hidden)
        for step in (0, 220):
            with_signal(run, step, [0.0] * 4)
        assert said(run).endswith(every)
        assert _slopes(ended(run)) == ""


def test_slopes_are_those_of_the_start_and_of_the_last_finite_step() -> None:
    assert _slopes(ended(a_run(0.5, end=-1.0))).startswith("slope +0.500 at the start, -1.000 at the end (")
    assert _slopes(ended(a_run(0.5, last=0))).startswith("slope +0.500 at the start (")
    diverged = with_signal(a_run(0.5), 220, [math.nan] * 11)
    assert _slopes(ended(diverged)).startswith("slope +0.500 at the start, none at the end (")
    assert "at the end" not in said(diverged)


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
    scale = Scale.over([0.0, math.inf, math.nan], cells=8)
    assert scale == (0, 1, 8, True)
    assert str(scale) == ""
    assert str(Scale.over([1e-3, 1.0], cells=8)) == "1e-03 to 1e+00"


@pytest.mark.parametrize("count", [1, 2, 16, 17, 18, 1001])
def test_of_many_layers_the_first_the_middle_and_the_last_are_shown(count: int) -> None:
    shown = selected(range(1, count + 1))
    layers = [layer for layer in shown if layer is not None]
    assert layers == sorted(set(layers))
    assert (layers[0], layers[-1]) == (1, count)
    if count <= 16:
        assert layers == list(range(1, count + 1))
    else:
        assert layers == [*range(1, 6), *layers[5:10], *range(count - 4, count + 1)]
        assert layers[7] == pytest.approx((count + 1) / 2, abs=1)
