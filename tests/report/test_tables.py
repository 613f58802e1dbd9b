"""summary.csv and settings.csv on hand-made numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from vanishgrad.report import load_runs
from vanishgrad.report.settings import table_of_runs
from vanishgrad.report.tables import settings_table, summary_table

WriteRun = Callable[..., Path]
LONG = (0, 200, 400)  # steps after which that a run has not learned says something


def test_the_summary_has_one_row_per_run(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("0", setting={"act": "sigmoid", "seed": 3}, slope=0.6, accuracy=0.1, steps=LONG)
    write_run("1", setting={"act": "relu", "seed": 4}, slope=-0.01, accuracy=0.9, steps=LONG)
    table = summary_table(load_runs(tmp_path))
    assert list(table.columns[:4]) == ["run", "status", "act", "seed"]
    assert table[["run", "act", "seed", "verdict", "setting"]].to_numpy().tolist() == [
        ["0", "sigmoid", 3, "vanishing", "act=sigmoid"],
        ["1", "relu", 4, "learns", "act=relu"],
    ]
    assert table["gradient_slope"].tolist() == pytest.approx([0.6, -0.01])
    assert table["gradient_slope_final"].tolist() == pytest.approx([0.6, -0.01])
    assert table["final_val_accuracy"].tolist() == pytest.approx([0.1, 0.9])
    assert table["best_step"].tolist() == [400, 400]


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_verdict_does_not_depend_on_the_scale(write_run: WriteRun, tmp_path: Path, scale: float) -> None:
    write_run("0", slope=0.9, accuracy=0.1, scale=scale, steps=LONG)
    write_run("1", slope=0.1, accuracy=0.1, scale=scale, steps=LONG)
    assert summary_table(load_runs(tmp_path))["verdict"].tolist() == ["vanishing", "not_learning"]


def test_a_zero_initialised_branch_is_not_vanishing(write_run: WriteRun) -> None:
    def branch(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"delta_norm": 0.0 if row["layer"] % 2 else 1.0}

    table = summary_table(load_runs(write_run("0", accuracy=0.1, change=branch, steps=LONG)))
    assert table["verdict"].tolist() == ["not_learning"]
    assert table["gradient_slope"].tolist() == pytest.approx([0.0])


def test_without_delta_norm_the_verdict_follows_the_weights_gradient(write_run: WriteRun) -> None:
    folder = write_run("0", slope=0.9, accuracy=0.1, change=lambda row: row | {"delta_norm": ""})
    table = summary_table(load_runs(folder))
    assert table["verdict"].tolist() == ["vanishing"]
    assert math.isnan(table["gradient_slope"].iloc[0])


@pytest.mark.parametrize("slope, verdict", [(0.1, "healthy"), (0.9, "vanishing")])
def test_an_untrained_run_is_judged_by_its_gradients(write_run: WriteRun, slope: float, verdict: str) -> None:
    table = summary_table(load_runs(write_run("0", slope=slope, steps=(0,))))
    assert table["verdict"].tolist() == [verdict]


def test_numbers_that_are_not_finite_come_back_from_their_strings(write_run: WriteRun) -> None:
    folder = write_run("0", status="diverged")
    record = json.loads((folder / "run.json").read_text())
    record["metrics"]["final"] |= {"val_loss": "inf", "val_accuracy": "nan"}
    (folder / "run.json").write_text(json.dumps(record))
    row = summary_table(load_runs(folder)).iloc[0]
    assert row["final_val_loss"] == math.inf
    assert math.isnan(row["final_val_accuracy"])
    assert row["verdict"] == "diverged"
    assert row["diverged_at"] == 20


def test_a_run_that_was_cut_off_has_the_last_metrics_it_wrote(write_run: WriteRun) -> None:
    folder = write_run("0", status="running", accuracy=0.8)
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"metrics": None}))
    assert summary_table(load_runs(folder))["final_val_accuracy"].tolist() == pytest.approx([0.8])


def recurrent(write_run: WriteRun, add: SimpleNamespace, loss: float, slope: float, place: str = "0") -> Path:
    folder = write_run(place, setting={"model": "rnn", "depth": 1}, steps=LONG)
    add.no_accuracy(folder, loss)
    add.time_gradients(folder, slope, length=50)
    add.record(folder, baseline={"metric": "val_loss", "value": 1 / 6, "source": "always 1"})
    return folder


@pytest.mark.parametrize(
    "loss, slope, verdict",
    [
        (0.16, 0.2, "vanishing through time"),
        (0.16, -0.2, "exploding through time"),
        (0.16, 0.0, "not_learning"),
        (0.01, 0.2, "learns"),
    ],
)
def test_a_recurrent_network_is_judged_by_its_baseline_and_its_gradient_through_time(
    write_run: WriteRun, add: SimpleNamespace, loss: float, slope: float, verdict: str
) -> None:
    table = summary_table(load_runs(recurrent(write_run, add, loss, slope)))
    assert table["verdict"].tolist() == [verdict]
    assert table["time_slope"].tolist() == pytest.approx([slope], abs=1e-9)
    assert table["baseline_val_loss"].tolist() == pytest.approx([1 / 6])
    assert math.isnan(table["gradient_slope"].iloc[0])


def test_an_accuracy_is_compared_with_its_baseline(write_run: WriteRun, add: SimpleNamespace) -> None:
    folder = write_run("0", accuracy=0.4, steps=LONG)
    assert summary_table(load_runs(folder))["verdict"].tolist() == ["learns"]
    add.record(folder, baseline={"metric": "val_accuracy", "value": 0.38, "source": ""})
    assert summary_table(load_runs(folder))["verdict"].tolist() == ["not_learning"]


def test_columns_that_no_run_knows_are_left_out(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path
) -> None:
    write_run("0")
    assert not {"time_slope", "baseline_val_loss", "baseline_val_accuracy"} & set(
        summary_table(load_runs(tmp_path))
    )
    recurrent(write_run, add, 0.01, 0.1, "1")
    table = summary_table(load_runs(tmp_path))
    assert table["time_slope"].isna().tolist() == [True, False]
    assert "baseline_val_accuracy" not in table
    assert settings_table(table)["baseline_val_loss"].notna().tolist() == [False, True]


def test_further_metrics_are_columns(write_run: WriteRun, add: SimpleNamespace) -> None:
    folder = write_run("0")
    add.record(folder, metrics={"final": {"bits_per_character": 2.5}})
    table = summary_table(load_runs(folder))
    assert table["final_bits_per_character"].tolist() == [2.5]
    assert settings_table(table)["final_bits_per_character_mean"].tolist() == [2.5]


def test_a_network_that_overflows_at_once_explodes(write_run: WriteRun) -> None:
    nothing = write_run(
        "0", steps=(0,), status="diverged", change=lambda row: row | {"delta_norm": "nan", "grad_norm": "inf"}
    )
    assert summary_table(load_runs(nothing))["verdict"].tolist() == ["exploding"]


def summary(**columns: list[Any]) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    rest = {"status": ["completed"] * count, "verdict": ["learns"] * count, "setting": ["a"] * count}
    return pd.DataFrame(rest | columns)


def test_settings_are_means_and_spreads_over_seeds() -> None:
    table = settings_table(summary(setting=["a", "a", "b"], score=[1.0, 3.0, 5.0])).set_index("setting")
    assert table["runs"].tolist() == [2, 1]
    assert table.loc["a", "score_mean"] == 2.0
    assert table.loc["a", "score_spread"] == pytest.approx(math.sqrt(2))
    assert table["score_spread"].isna().tolist() == [False, True]


def test_what_is_not_finite_is_left_out_of_the_mean_and_counted() -> None:
    table = settings_table(
        summary(score=[1.0, 3.0, math.inf, math.nan], status=["completed"] * 3 + ["diverged"])
    )
    assert table[["score_mean", "score_count", "runs", "diverged"]].to_numpy().tolist() == [[2.0, 2, 4, 1]]


def test_swept_numbers_and_seeds_are_not_averaged() -> None:
    table = settings_table(summary(depth=[5, 5], seed=[0, 1], score=[1.0, 2.0]), ("depth",))
    assert list(table.columns) == [
        *["setting", "depth", "runs", "diverged"],
        *["score_mean", "score_spread", "score_count", "verdict"],
    ]


def test_seeds_that_disagree_show_every_verdict() -> None:
    verdicts = ["learns", "diverged", "learns"]
    assert settings_table(summary(verdict=verdicts))["verdict"].tolist() == ["learns 2, diverged 1"]


def test_the_page_lists_runs_with_their_seed_status_and_number(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("0", setting={"act": "relu", "seed": 3}, accuracy=0.5)
    write_run("1", setting={"act": "tanh", "seed": 4}, accuracy=0.9)
    record = tmp_path / "1" / "run.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"seed": None}))
    runs = load_runs(tmp_path)
    table = table_of_runs(runs, summary_table(runs))
    assert table.headings == ["run", "setting", "seed", "status", "verdict", "val. accuracy", "command"]
    assert [(row.run, row.setting, row.seed, row.status) for row in table.rows] == [
        ("0", "act=relu", "3", "completed"),
        ("1", "act=tanh", "", "completed"),
    ]
    assert [row.numbers[0].text for row in table.rows] == ["0.5", "0.9"]


def test_a_run_that_no_command_began_has_none_that_repeats_it(write_run: WriteRun, tmp_path: Path) -> None:
    """run.json of a run made in Python has the setting, but no configuration and no overrides."""
    write_run("0", setting={"act": "relu"})
    write_run("1", setting={"act": "tanh"})
    for name, config in (("0", {}), ("1", {"depth": 5})):
        path = tmp_path / name / "run.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"config": config, "overrides": []}))
    runs = load_runs(tmp_path)
    assert [row.command for row in table_of_runs(runs, summary_table(runs)).rows] == ["", "vanishgrad train"]
