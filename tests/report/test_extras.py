"""The files that only some runs have: read, condensed, absent, empty, cut short."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from vanishgrad.report import load_runs
from vanishgrad.report.extras import EXTRAS, condensed

WriteRun = Callable[..., Path]
FILES = {
    "time_gradients": "time_gradients.csv",
    "gates": "gates.csv",
    "residual_terms": "residual_gradients.csv",
    "input_gradients": "input_gradients.csv",
    "dead_units": "dead_units.csv",
    "pretraining": "pretrain.csv",
    "frame_losses": "frames.csv",
    "filters": "filters.npz",
    "predicted_frames": "frames.npz",
    "landscape": "landscape.npz",
    "activation_inputs": "activations.npz",
}
TABLES = [name for name, file in FILES.items() if file.endswith(".csv")]


def test_every_extra_has_a_file_here() -> None:
    assert set(FILES) == set(EXTRAS)


@pytest.mark.parametrize("name", EXTRAS)
def test_a_file_that_is_not_there_is_an_empty_table(tmp_path: Path, name: str) -> None:
    found = condensed(tmp_path, name, None)
    assert found.broken is None
    assert found.table.empty


@pytest.mark.parametrize("name", TABLES)
def test_a_table_without_rows_is_empty(tmp_path: Path, add: SimpleNamespace, name: str) -> None:
    getattr(add, name)(tmp_path)
    file = tmp_path / FILES[name]
    file.write_text(file.read_text().splitlines()[0] + "\n")
    found = condensed(tmp_path, name, 120)
    assert found.broken is None
    assert found.table.empty


@pytest.mark.parametrize("name", TABLES)
def test_a_last_row_cut_short_costs_only_itself(tmp_path: Path, add: SimpleNamespace, name: str) -> None:
    getattr(add, name)(tmp_path)
    file = tmp_path / FILES[name]
    file.write_text(file.read_text()[:-3])
    found = condensed(tmp_path, name, 120)
    assert found.broken is None
    assert not found.table.empty


@pytest.mark.parametrize("name", EXTRAS)
@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", bytes(range(256))])
def test_what_is_not_such_a_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / FILES[name]).write_bytes(content)
    found = condensed(tmp_path, name, 120)
    assert found.broken is not None
    assert FILES[name] in found.broken
    assert found.table.empty


def test_the_state_of_all_layers_is_taken_together(tmp_path: Path, add: SimpleNamespace) -> None:
    add.time_gradients(
        tmp_path, 0.0, 3, layers=2, change=lambda row: row | {"grad_norm": 3.0 if row["layer"] == 1 else 4.0}
    )
    table = condensed(tmp_path, "time_gradients", None).table
    assert table["grad_norm"].tolist() == pytest.approx([5.0] * 6)
    assert table["t_to_end"].tolist() == [-2, -1, 0] * 2
    assert table["cell_grad_norm"].isna().all()


def test_a_layer_that_takes_over_continues_the_line(tmp_path: Path, add: SimpleNamespace) -> None:
    """An encoder's times are 1 and 2, its forecaster's 3 and 4."""

    def takes_over(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"t": row["t"] + 2 * (row["layer"] - 1)}

    add.time_gradients(tmp_path, 0.0, 2, layers=2, steps=(0,), change=takes_over)
    start = condensed(tmp_path, "time_gradients", None).table.query("moment == 'start'")
    assert start["t"].tolist() == [1, 2, 3, 4]
    assert start["grad_norm"].tolist() == [1.0] * 4


def test_the_start_and_the_last_finite_end_of_time_gradients_are_kept(
    tmp_path: Path, add: SimpleNamespace
) -> None:
    def broken_at_the_end(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"grad_norm": "inf"} if row["step"] == 30 else row

    add.time_gradients(tmp_path, 0.1, 4, steps=(0, 10, 20, 30), change=broken_at_the_end)
    table = condensed(tmp_path, "time_gradients", None).table
    assert table[["moment", "step"]].drop_duplicates().to_numpy().tolist() == [["start", 0], ["end", 20]]
    assert len(table) == 8


def test_gates_are_means_over_time_and_long_tables_are_thinned(tmp_path: Path, add: SimpleNamespace) -> None:
    add.gates(tmp_path, ("input", "forget"), steps=range(40))
    table = condensed(tmp_path, "gates", 10).table
    assert table["gate"].unique().tolist() == ["input", "forget"]
    assert table["step"].unique().tolist() == [0, 4, 8, 12, 16, 20, 24, 28, 32, 36, 39]
    forget = table[(table["gate"] == "forget") & (table["step"] == 20)]
    assert forget["near_one"].tolist() == pytest.approx([0.3])
    assert forget["near_zero"].tolist() == pytest.approx([0.2])


def test_the_loss_of_pretraining_is_relative_to_that_before(tmp_path: Path, add: SimpleNamespace) -> None:
    add.pretraining(tmp_path, layers=2, epochs=2)
    table = condensed(tmp_path, "pretraining", None).table
    assert table["relative_loss"].tolist() == pytest.approx([1, 1 / 2, 1 / 3, 1, 1 / 1.5, 1 / 2])


@pytest.mark.parametrize("name, column", [("residual_terms", "cosine"), ("input_gradients", "correlation")])
def test_only_the_start_is_kept_of_what_is_shown_at_the_start(
    tmp_path: Path, add: SimpleNamespace, name: str, column: str
) -> None:
    getattr(add, name)(tmp_path, steps=(0, 20))
    table = condensed(tmp_path, name, None).table
    assert set(table["step"]) == {0}
    assert table[column].notna().all()


def test_filters_are_few_and_averaged_over_channels(tmp_path: Path, add: SimpleNamespace) -> None:
    add.filters(tmp_path, units=50, channels=3)
    table = condensed(tmp_path, "filters", None).table.set_index("moment")
    assert table.index.tolist() == ["start", "pretrained", "trained"]
    stored = np.load(tmp_path / "filters.npz")["start"]
    np.testing.assert_array_equal(table.loc["start", "filters"], stored[:36].mean(axis=1))
    assert table["units"].tolist() == [50] * 3


def test_the_first_example_of_the_frames_is_kept(tmp_path: Path, add: SimpleNamespace) -> None:
    add.predicted_frames(tmp_path, given=3, predicted=2)
    row = condensed(tmp_path, "predicted_frames", None).table.iloc[0]
    assert [row[name].shape for name in ("given", "true", "predicted")] == [
        (3, 24, 24),
        (2, 24, 24),
        (2, 24, 24),
    ]


def test_a_column_that_an_older_version_did_not_write_is_empty(tmp_path: Path, add: SimpleNamespace) -> None:
    add.frame_losses(tmp_path)
    table = pd.read_csv(tmp_path / "frames.csv").drop(columns="floor_cross_entropy")
    table.to_csv(tmp_path / "frames.csv", index=False)
    found = condensed(tmp_path, "frame_losses", None)
    assert found.broken is None
    assert found.table["floor_cross_entropy"].isna().all()


def test_extras_carry_run_setting_seed_and_status(
    write_run: WriteRun, add: SimpleNamespace, tmp_path: Path
) -> None:
    add.dead_units(write_run("0", setting={"act": "relu", "seed": 3}))
    write_run("1", setting={"act": "tanh"})
    table = load_runs(tmp_path).extra("dead_units")
    tags = table[["run", "setting", "seed", "status"]].drop_duplicates()
    assert tags.to_numpy().tolist() == [["0", "act=relu", 3, "completed"]]


def test_a_baseline_that_is_half_written_is_none(write_run: WriteRun, add: SimpleNamespace) -> None:
    folder = write_run("0")
    for broken in (None, {}, {"metric": "val_loss"}):
        add.record(folder, baseline=broken)
        assert load_runs(folder).runs[0].baseline is None
    add.record(folder, baseline={"metric": "val_loss", "value": "inf", "source": "x"})
    assert load_runs(folder).runs[0].baseline_of("val_loss") == math.inf
