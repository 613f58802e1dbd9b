"""What is left to read of a sweep at its end."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from vanishgrad.cli.sweep_table import failures, show_failures, show_sweep
from vanishgrad.records import GRADIENT_COLUMNS, METRIC_COLUMNS
from vanishgrad.report.tables import BEST, WORST, best_first
from vanishgrad.run import Run
from vanishgrad.sweeps.job import Job, Outcome

SLOPE = 0.25  # decades per layer


def printed(show: Callable[[Console], None], width: int = 100) -> list[str]:
    file = io.StringIO()
    show(Console(file=file, width=width, highlight=False))
    return file.getvalue().splitlines()


def write_run(sweep: Path, number: int, status: str = "completed", **setting: Any) -> Path:
    """A run folder; `accuracy` and `loss` are its final ones, the rest its setting."""
    final = {f"val_{name}": setting.pop(name, None) for name in ("accuracy", "loss")}
    choices = {"act": {"name": setting.pop("act", "relu")}, "seed": 0, **setting}
    record = {
        "status": status, "seed": choices["seed"], "choices": choices, "steps": 10, "overrides": [],
        "metrics": {"final": final}, "error": "RuntimeError: out of luck" if status == "failed" else None,
    }  # fmt: skip
    folder = sweep / str(number)
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record))
    layers = [
        {
            "step": step,
            "epoch": 0,
            "layer": layer,
            "name": f"layer{layer}",
            "delta_norm": 10 ** (SLOPE * layer),
        }
        for step in (0, 10)
        for layer in (1, 2, 3, 4)
    ]
    pd.DataFrame(layers, columns=list(GRADIENT_COLUMNS)).to_csv(folder / "gradients.csv", index=False)
    steps = [{"step": 0, "epoch": 0, "train_loss": 2.0}, {"step": 10, "epoch": 1, "train_loss": 0.5, **final}]
    pd.DataFrame(steps, columns=list(METRIC_COLUMNS)).to_csv(folder / "metrics.csv", index=False)
    return folder


def settings_of(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines[1:-1]]


def test_a_row_per_setting_with_mean_and_spread_the_best_first(tmp_path: Path) -> None:
    for number, (act, accuracy) in enumerate([("relu", 0.5), ("relu", 0.6), ("tanh", 0.9), ("elu", None)]):
        write_run(tmp_path, number, act=act, seed=number, accuracy=accuracy, loss=1.0)
    lines = printed(lambda console: show_sweep(console, tmp_path))
    assert [line.split() for line in lines[:3]] == [
        ["setting", "accuracy", "slope", "at", "start", "runs", "verdict"],
        ["act=tanh", "0.900", "+0.250", "1", "learns"],
        ["act=relu", "0.550", "±", "0.071", "+0.250", "±", "0.000", "2", "learns"],
    ]
    assert settings_of(lines) == ["act=tanh", "act=relu", "act=elu"]
    assert lines[-1] == str(tmp_path)


def test_the_same_is_a_file_beside_the_runs(tmp_path: Path) -> None:
    for number, accuracy in enumerate([0.5, 0.6, 0.9]):
        write_run(
            tmp_path, number, act="relu" if number < 2 else "tanh", accuracy=accuracy, loss=1 - accuracy
        )
    (tmp_path / "sweep_summary.csv").write_text("of before")
    for name in ("sweep.json", "runs.jsonl"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "logs").mkdir()
    printed(lambda console: show_sweep(console, tmp_path))
    table = pd.read_csv(tmp_path / "sweep_summary.csv")
    assert table["act"].tolist() == ["tanh", "relu"]
    assert table["runs"].tolist() == [1, 2]
    assert table["verdict"].tolist() == ["learns", "learns"]
    relu = table.iloc[1]
    assert relu["final_val_accuracy_mean"] == pytest.approx(0.55)
    assert relu["final_val_accuracy_spread"] == pytest.approx(np.std([0.5, 0.6], ddof=1))
    assert relu["final_val_accuracy_count"] == 2
    assert relu["final_val_loss_mean"] == pytest.approx(0.45)
    assert relu["gradient_slope_mean"] == pytest.approx(SLOPE)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_what_a_run_had_reached_when_it_failed_does_not_count(tmp_path: Path) -> None:
    write_run(tmp_path, 0, seed=0, accuracy=0.5)
    write_run(tmp_path, 1, "failed", seed=1, accuracy=0.1)
    write_run(tmp_path, 2, "interrupted", act="tanh", accuracy=0.99)
    printed(lambda console: show_sweep(console, tmp_path))
    table = pd.read_csv(tmp_path / "sweep_summary.csv").set_index("act")
    assert list(table.index) == ["relu", "tanh"]
    assert table["final_val_accuracy_mean"].fillna(-1).tolist() == [0.5, -1]
    assert table["final_val_accuracy_count"].tolist() == [1, 0]
    assert table["verdict"].tolist() == ["learns 1, failed 1", "interrupted"]


def test_a_folder_without_a_readable_run_has_no_table(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    assert printed(lambda console: show_sweep(console, tmp_path)) == [str(tmp_path)]
    assert not (tmp_path / "sweep_summary.csv").exists()


def test_settings_without_a_number_come_last_and_losses_behind_accuracies() -> None:
    table = pd.DataFrame(
        {
            "setting": ["nothing", "high loss", "low loss", "poor", "good", "good too"],
            "final_val_accuracy_mean": [math.nan, math.nan, math.nan, 0.1, 0.9, 0.9],
            "final_val_loss_mean": [math.nan, 5.0, 2.0, 1.0, 3.0, math.nan],
        }
    )
    assert best_first(table)["setting"].tolist() == [
        "good", "good too", "poor", "low loss", "high loss", "nothing",
    ]  # fmt: skip
    unmeasured = pd.DataFrame({"setting": ["b", "a"]})
    assert best_first(unmeasured)["setting"].tolist() == ["b", "a"]


def test_the_loss_is_shown_where_there_is_no_accuracy(tmp_path: Path) -> None:
    write_run(tmp_path, 0, act="relu", loss=0.5)
    write_run(tmp_path, 1, act="tanh", loss=0.25)
    lines = printed(lambda console: show_sweep(console, tmp_path))
    assert lines[0].split()[:2] == ["setting", "loss"]
    assert settings_of(lines) == ["act=tanh", "act=relu"]


def test_of_a_long_table_the_ends_are_shown_and_all_of_it_is_in_the_file(tmp_path: Path) -> None:
    for number in range(BEST + WORST + 3):
        write_run(tmp_path, number, lr=number, accuracy=number / 100)
    lines = printed(lambda console: show_sweep(console, tmp_path))
    numbers = list(range(BEST + WORST + 2, -1, -1))
    shown = [f"lr={number}" for number in (*numbers[:BEST], *numbers[-WORST:])]
    assert settings_of(lines[: BEST + 1] + lines[BEST + 2 :]) == shown
    assert lines[BEST + 1].startswith("... 3 more in sweep_summary.csv")
    assert pd.read_csv(tmp_path / "sweep_summary.csv")["lr"].tolist() == numbers


@pytest.mark.parametrize("width", [60, 100])
def test_a_long_setting_is_folded_and_no_number_is_lost(tmp_path: Path, width: int) -> None:
    write_run(tmp_path, 0, act="relu", init="[a,b]", lr=0.1, accuracy=0.5)
    write_run(tmp_path, 1, act="leaky_relu", init="xavier_uniform_wide", lr=0.2, accuracy=0.25)
    lines = printed(lambda console: show_sweep(console, tmp_path), width)
    text = "\n".join(lines[:-1])
    assert max(map(len, lines[:-1])) <= width
    assert all(part in text for part in ("0.500", "0.250", "+0.250", "[a,b]"))


def jobs(count: int) -> list[Job]:
    return [Job(number, Run(), Path(str(number)), label=f"lr={number} seed=0") for number in range(count)]


def test_a_sweep_that_went_well_is_not_spoken_of() -> None:
    done = {number: Outcome(number, "completed", 1.0) for number in range(3)}
    assert printed(lambda console: show_failures(console, done, jobs(3))) == []


def test_what_did_not_go_well_is_counted_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = [
        Outcome(0, "completed", 1.0), Outcome(1, "diverged", 1.0, {}, 12, 12),
        Outcome(2, "failed", 0.0, error="RuntimeError: no [room]", log=str(tmp_path / "2" / "error.log")),
        Outcome(3, "interrupted", 1.0), Outcome(4, "failed", 0.0, error="its process died"),
        Outcome(99, "failed", 0.0, error="of another batch"),
    ]  # fmt: skip
    outcomes = {outcome.number: outcome for outcome in ended}
    assert printed(lambda console: show_failures(console, outcomes, jobs(7)), width=30) == [
        "1 completed, 1 diverged, 2 failed, 1 interrupted, 2 not begun",
        "  2  lr=2 seed=0  failed: RuntimeError: no [room]",
        "     2/error.log",
        "  4  lr=4 seed=0  failed: its process died",
        "  1  lr=1 seed=0  diverged at step 12",
    ]


def test_of_many_diverged_runs_the_first_are_named() -> None:
    outcomes = {number: Outcome(number, "diverged", 1.0, {}, 3, 3) for number in range(13)}
    lines = printed(lambda console: show_failures(console, outcomes, jobs(13)))
    assert lines[0] == "13 diverged"
    assert lines[1] == "  0  lr=0 seed=0  diverged at step 3"
    assert lines[10:] == ["  9  lr=9 seed=0  diverged at step 3", "     and 3 more diverged"]


def test_the_failed_runs_of_a_folder(tmp_path: Path) -> None:
    write_run(tmp_path, 0)
    write_run(tmp_path, 1, "failed")
    (tmp_path / "2").mkdir()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "1.log").write_text("Traceback")
    assert failures(tmp_path) == [
        f"{tmp_path / '1'}: RuntimeError: out of luck", f"{tmp_path / '2'}: the folder is empty",
    ]  # fmt: skip
