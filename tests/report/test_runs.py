"""Finding run folders, reading them, and naming those that cannot be read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from vanishgrad.errors import SettingError
from vanishgrad.report import load_runs, newest_runs

WriteRun = Callable[..., Path]


def test_a_run_a_sweep_and_a_folder_of_many_are_found(write_run: WriteRun, tmp_path: Path) -> None:
    single = write_run("2026-01-01_00-00-00")
    for job in ("10", "2", "0"):
        write_run(f"2026-01-02_00-00-00/{job}", setting={"seed": int(job)})
    assert [run.folder for run in load_runs(single)] == [single]
    assert load_runs(tmp_path / "2026-01-02_00-00-00").names == ("0", "2", "10")
    assert len(load_runs(tmp_path)) == 4


def test_a_run_named_twice_is_read_once(write_run: WriteRun, tmp_path: Path) -> None:
    assert len(load_runs(tmp_path, write_run("a/0"), str(tmp_path / "a"))) == 1


def test_report_lab_and_hidden_folders_are_not_descended_into(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("sweep/0")
    for place in ("sweep/report/0", "lab/0", ".hydra/0", "chapters/0"):
        write_run(place)
    (tmp_path / "chapters" / "claims.csv").touch()
    (tmp_path / "mine" / "figures").mkdir(parents=True)
    (tmp_path / "mine" / "index.html").touch()
    found = load_runs(tmp_path)
    assert [run.folder.name for run in found] == ["0"]
    assert not found.skipped


def test_a_lab_folder_is_read_when_it_is_asked_for(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("lab/0")
    assert len(load_runs(tmp_path / "lab")) == 1


def break_json(folder: Path) -> None:
    (folder / "run.json").write_text('{"status": "comp')


def empty_folder(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def header_only(folder: Path) -> None:
    table = folder / "gradients.csv"
    table.write_text(table.read_text().splitlines(keepends=True)[0])


def first_row_cut(folder: Path) -> None:
    table = folder / "gradients.csv"
    header, row, *_ = table.read_text().splitlines(keepends=True)
    table.write_text(header + row[:20])


def no_gradients(folder: Path) -> None:
    (folder / "gradients.csv").unlink()


def zero_bytes(folder: Path) -> None:
    (folder / "gradients.csv").write_bytes(b"")


def binary(folder: Path) -> None:
    (folder / "gradients.csv").write_bytes(bytes(range(256)))


def words_for_numbers(folder: Path) -> None:
    table = folder / "gradients.csv"
    table.write_text(table.read_text().splitlines()[0] + "\n" + ",".join(["word"] * 14) + "\n")


def other_columns(folder: Path) -> None:
    (folder / "gradients.csv").write_text("a,b\n1,2\n")


def choices_are_a_list(folder: Path) -> None:
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"choices": [1]}))


REASONS: dict[Callable[[Path], None], str] = {
    break_json: "run.json is not JSON",
    empty_folder: "the folder is empty",
    header_only: "gradients.csv has no complete row",
    first_row_cut: "gradients.csv has no complete row",
    no_gradients: "no gradients.csv",
    zero_bytes: "gradients.csv is empty",
    binary: "gradients.csv is not text",
    words_for_numbers: "gradients.csv: step must be an integer from 0 on, is 'word'",
    other_columns: "gradients.csv has no column step; its first line is 'a,b'",
    choices_are_a_list: "run.json: choices must be an object, is a list",
}


@pytest.mark.parametrize("damage", REASONS)
def test_what_cannot_be_read_is_named_with_the_reason(
    write_run: WriteRun, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    write_run("0")
    damaged = write_run("1")
    damage(damaged)
    found = load_runs(tmp_path)
    assert [run.folder.name for run in found] == ["0"]
    assert [skip.folder for skip in found.skipped] == [damaged]
    assert found.skipped[0].reason.startswith(REASONS[damage])


def test_a_completed_run_whose_gradients_end_early_is_read_and_named(
    write_run: WriteRun, tmp_path: Path
) -> None:
    write_run("0")
    cut, running, monitored = write_run("1"), write_run("2", status="running"), write_run("3")
    for folder in (cut, running, monitored):
        rows = (folder / "gradients.csv").read_text().splitlines(keepends=True)
        (folder / "gradients.csv").write_text("".join(row for row in rows if not row.startswith("20,")))
    record = json.loads((monitored / "run.json").read_text())
    (monitored / "run.json").write_text(json.dumps(record | {"choices": {}}))
    found = load_runs(tmp_path)
    assert len(found) == 4
    assert found.cut_short == ((cut, "gradients.csv ends at step 10 of 20"),)


def test_a_row_cut_short_costs_only_itself(write_run: WriteRun) -> None:
    folder = write_run("0", setting={"depth": 2})
    table = folder / "gradients.csv"
    table.write_text(table.read_text()[:-8])
    assert len(load_runs(folder).gradients) == 3 * 3 - 1


def test_a_run_without_metrics_is_a_run(write_run: WriteRun) -> None:
    folder = write_run("0")
    (folder / "metrics.csv").unlink()
    found = load_runs(folder)
    assert len(found.gradients) == 18
    assert found.metrics.empty
    assert "val_loss" in found.metrics


def test_columns_that_an_older_version_did_not_write_are_empty(write_run: WriteRun) -> None:
    folder = write_run("0")
    table = pd.read_csv(folder / "gradients.csv").drop(columns=["dead_fraction"])
    table.to_csv(folder / "gradients.csv", index=False)
    assert load_runs(folder).gradients["dead_fraction"].isna().all()


def test_frames_carry_run_setting_seed_and_status(write_run: WriteRun, tmp_path: Path) -> None:
    for job, act in enumerate(("sigmoid", "relu")):
        write_run(str(job), setting={"act": act, "seed": 7})
    for frame in (load_runs(tmp_path).gradients, load_runs(tmp_path).metrics):
        tags = frame[["run", "setting", "seed", "status"]].drop_duplicates()
        assert tags.to_numpy().tolist() == [
            ["0", "act=sigmoid", 7, "completed"],
            ["1", "act=relu", 7, "completed"],
        ]


def test_runs_without_a_recorded_setting_are_called_by_their_folder(
    write_run: WriteRun, tmp_path: Path
) -> None:
    for name in ("mine", "yours"):
        folder = write_run(name)
        record = json.loads((folder / "run.json").read_text())
        (folder / "run.json").write_text(json.dumps(record | {"choices": {}, "seed": None}))
    assert load_runs(tmp_path).labels == ("mine", "yours")


def test_missing_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"runs=.*nowhere"):
        load_runs(tmp_path / "nowhere")


def test_the_newest_run_or_sweep_is_the_one_started_last(write_run: WriteRun, tmp_path: Path) -> None:
    write_run("2026-01-02_00-00-00/0")
    write_run("2026-01-01_00-00-00")
    write_run("lab/2027-01-01_00-00-00")
    (tmp_path / "2026-01-03_00-00-00" / "figures").mkdir(parents=True)
    (tmp_path / "2026-01-03_00-00-00" / "index.html").touch()
    assert newest_runs(tmp_path) == tmp_path / "2026-01-02_00-00-00"


def test_a_folder_without_a_date_is_as_old_as_its_record(write_run: WriteRun, tmp_path: Path) -> None:
    mine = write_run("mine")
    dated = write_run("2026-01-02_00-00-00")
    os.utime(mine / "run.json", (0, 0))
    assert newest_runs(tmp_path) == dated
    os.utime(mine / "run.json", (4e9, 4e9))
    assert newest_runs(tmp_path) == mine


def test_without_runs_there_is_no_newest(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no folder"):
        newest_runs(tmp_path / "outputs")
    with pytest.raises(SettingError, match="no run in"):
        newest_runs(tmp_path)


@pytest.mark.parametrize("module", ["report", "report.labels", "report.tables"])
def test_importing_the_tables_of_a_report_is_light(module: str) -> None:
    code = f"import sys, vanishgrad.{module}; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert not {"torch", "hydra", "matplotlib", "jinja2", "vanishgrad.choices"} & set(done.stdout.split())
