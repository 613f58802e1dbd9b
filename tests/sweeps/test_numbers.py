"""What a sweep keeps of a run: slopes against closed forms and fits, from memory and from the folder."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanishgrad.choices.data import Adding
from vanishgrad.engine import Result, train
from vanishgrad.records import (
    EXTRA_COLUMNS,
    GRADIENT_COLUMNS,
    GRADIENTS_FILE,
    LAYOUT,
    METRIC_COLUMNS,
    METRICS_FILE,
    TIME_GRADIENTS_FILE,
    Cell,
    Table,
)
from vanishgrad.rows import Columns
from vanishgrad.run import Run
from vanishgrad.sweeps.numbers import final_numbers, initial_slope, initial_slope_in, summary, summary_in

Norm = Callable[[int, int], float | None]  # of a step and a layer
LAYERS = 6  # the last one is the output


def gradients(norm: Norm, steps: int = 3, column: str = "delta_norm") -> Columns:
    """gradients.csv with a row per step and layer."""
    place = GRADIENT_COLUMNS.index(column)
    rows: list[list[Cell]] = []
    for step in range(steps):
        for layer in range(1, LAYERS + 1):
            row: list[Cell] = [10 * step, 0, layer, f"linear_{layer}", *[None] * 10]
            row[place] = norm(step, layer)
            rows.append(row)
    return Columns.of(rows, GRADIENT_COLUMNS, LAYOUT)


def states(norm: Norm, layers: int = 1, times: int = 5) -> Columns:
    """time_gradients.csv, of two steps."""
    rows = [
        [10 * step, layer, t, norm(step, t), None]
        for step in range(2) for layer in range(1, layers + 1) for t in range(1, times + 1)
    ]  # fmt: skip
    return Columns.of(rows, EXTRA_COLUMNS[TIME_GRADIENTS_FILE], LAYOUT)


def ended(tables: dict[str, Any], **changes: Any) -> Result:
    """A result as `summary` and `final_numbers` look at it."""
    known = {
        "tables": tables, "run": Run(), "final": {"val_loss": 1.0}, "best": {"val_loss": 0.5},
        "diagnosis": SimpleNamespace(verdict="vanishing"),
    }  # fmt: skip
    return cast(Result, SimpleNamespace(**known | changes))


SLOPES = st.floats(-20, 20)


@given(SLOPES, SLOPES, st.floats(-50, 50))
def test_the_slope_of_a_geometric_row_of_norms_is_its_exponent(start: float, end: float, at: float) -> None:
    table = gradients(lambda step, layer: 10 ** (at + (start if step == 0 else end) * layer))
    slopes = summary(ended({GRADIENTS_FILE: table}))["slopes"]
    assert initial_slope(table) == pytest.approx(start, abs=1e-9)
    assert slopes["gradient_slope"] == pytest.approx(start, abs=1e-9)
    assert slopes["gradient_slope_final"] == pytest.approx(end, abs=1e-9)
    assert math.isnan(slopes["time_slope"])


@given(st.lists(st.floats(1e-30, 1e30), min_size=LAYERS, max_size=LAYERS))
def test_the_slope_is_that_of_the_fitted_line_through_the_hidden_layers(norms: list[float]) -> None:
    table = gradients(lambda step, layer: norms[layer - 1])
    fitted = np.polyfit(np.arange(1, LAYERS), np.log10(norms[:-1]), 1)[0]
    assert initial_slope(table) == pytest.approx(fitted, abs=1e-9)


@given(SLOPES, st.integers(1, LAYERS - 1))
def test_a_layer_whose_gradient_is_zero_or_lost_is_left_out(slope: float, layer: int) -> None:
    for lost in (0.0, None, math.inf):
        table = gradients(lambda step, one, lost=lost: lost if one == layer else 10.0 ** (slope * one))
        assert initial_slope(table) == pytest.approx(slope, abs=1e-9)


def test_the_start_is_the_first_step_with_gradients_and_the_end_the_last_with_all_of_them() -> None:
    def norm(step: int, layer: int) -> float | None:
        if step == 0 or (step == 3 and layer < 3):
            return None  # not measured; then lost on the way
        return 10.0 ** (step * layer)

    slopes = summary(ended({GRADIENTS_FILE: gradients(norm, steps=4)}))["slopes"]
    assert slopes["gradient_slope"] == pytest.approx(1)
    assert slopes["gradient_slope_final"] == pytest.approx(2)


def test_without_the_gradients_of_outputs_the_slope_at_first_is_that_of_the_weights() -> None:
    table = gradients(lambda step, layer: 10.0 ** (0.5 * layer), column="grad_norm")
    assert initial_slope(table) == pytest.approx(0.5)
    assert math.isnan(summary(ended({GRADIENTS_FILE: table}))["slopes"]["gradient_slope"])


@pytest.mark.parametrize("norm", [lambda step, layer: None, lambda step, layer: 0.0], ids=["unknown", "zero"])
def test_without_gradients_there_is_no_slope(norm: Norm) -> None:
    slopes = summary(ended({GRADIENTS_FILE: gradients(norm)}))["slopes"]
    assert math.isnan(initial_slope(gradients(norm)))
    assert list(slopes) == ["gradient_slope", "gradient_slope_final", "time_slope"]
    assert all(map(math.isnan, slopes.values()))


@given(SLOPES, st.integers(1, 3))
def test_the_slope_through_time_is_that_of_all_layers_together_at_first(slope: float, layers: int) -> None:
    table = states(lambda step, t: 10.0 ** (slope * t if step == 0 else -t), layers)
    tables = {GRADIENTS_FILE: gradients(lambda step, layer: 1.0), TIME_GRADIENTS_FILE: table}
    assert summary(ended(tables))["slopes"]["time_slope"] == pytest.approx(slope, abs=1e-9)


def test_layers_count_in_time_by_the_root_of_the_sum_of_squares() -> None:
    norms = {1: (3.0, 4.0), 2: (6.0, 8.0), 3: (30.0, 40.0)}  # of two layers; together 5, 10, 50
    rows = [[0, layer, t, pair[layer - 1], None] for t, pair in norms.items() for layer in (1, 2)]
    table = Columns.of(rows, EXTRA_COLUMNS[TIME_GRADIENTS_FILE], LAYOUT)
    tables = {GRADIENTS_FILE: gradients(lambda step, layer: 1.0), TIME_GRADIENTS_FILE: table}
    fitted = np.polyfit([1, 2, 3], np.log10([5, 10, 50]), 1)[0]
    assert summary(ended(tables))["slopes"]["time_slope"] == pytest.approx(fitted)


def test_the_rest_is_as_the_run_has_it() -> None:
    run = Run(model="rnn", data="adding")
    one = ended(
        {GRADIENTS_FILE: gradients(lambda step, layer: 10.0**layer)}, best={"val_loss": 0.25}, run=run
    )
    found = summary(one)
    assert (found["best"], found["verdict"]) == ({"val_loss": 0.25}, "vanishing")
    assert found["baseline"]["value"] == pytest.approx(
        1 / 6, abs=0.01
    )  # the variance of a sum of two uniforms
    assert final_numbers(one) == {"val_loss": 1.0, "gradient_slope": pytest.approx(1)}


@pytest.fixture(scope="module", params=["mlp", "rnn", "diverged"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Result:
    setting: dict[str, Any] = {
        "mlp": {"depth": 3},
        "rnn": {"model": "rnn", "data": Adding(length=6, train_size=256, held_out=64)},
        "diverged": {"depth": 3, "lr": 1e30, "act": "identity"},
    }[request.param]  # fmt: skip
    folder = tmp_path_factory.mktemp("run") / request.param
    result = train(Run(width=4, max_steps=4, log_every=1, threads=1, **setting), out=folder)
    assert result.status == ("diverged" if request.param == "diverged" else "completed")
    return result


def test_a_folder_tells_the_same_as_the_run_that_wrote_it(trained: Result) -> None:
    assert trained.folder is not None
    record = json.loads((trained.folder / "run.json").read_text())
    ours, theirs = summary(trained), summary_in(trained.folder, record)
    assert theirs["verdict"] == ours["verdict"]
    assert theirs["baseline"] == ours["baseline"]
    for key in ("slopes", "best"):
        there = {name: float(value) for name, value in theirs[key].items() if value is not None}
        here = {name: float(value) for name, value in ours[key].items() if value is not None}
        assert there == pytest.approx(here, rel=1e-6, nan_ok=True)
    assert math.isfinite(ours["slopes"]["time_slope"]) == (trained.run.model.name == "rnn")
    slope = initial_slope_in(trained.folder)["gradient_slope"]
    assert slope == pytest.approx(final_numbers(trained)["gradient_slope"], rel=1e-6, nan_ok=True)


def test_a_folder_without_tables_tells_nothing(tmp_path: Path) -> None:
    assert summary_in(tmp_path, {"status": "completed"}) == initial_slope_in(tmp_path) == {}


def test_a_folder_without_rows_has_no_slope(tmp_path: Path) -> None:
    for file, columns in ((GRADIENTS_FILE, GRADIENT_COLUMNS), (METRICS_FILE, METRIC_COLUMNS)):
        Table(tmp_path / file, columns).close()
    assert initial_slope_in(tmp_path) == {}
