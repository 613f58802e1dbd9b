"""The run folder: what is written reads back, and what is broken is named."""

from __future__ import annotations

import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from vanishgrad import records
from vanishgrad.files import replace_file
from vanishgrad.folders import reserve_folder
from vanishgrad.records import (
    GRADIENT_COLUMNS,
    METRIC_COLUMNS,
    WAIT,
    Cell,
    Table,
    UnreadableRun,
    frame,
    read_gradients,
    read_metrics,
    read_run,
    strict,
    write_run,
)
from vanishgrad.rows import evenly_spaced

ROW: tuple[Cell, ...] = (
    0,
    0,
    1,
    "linear_1",
    1.5,
    None,
    math.inf,
    math.nan,
    -math.inf,
    0.0,
    1e-30,
    1e30,
    0.1,
    1 / 3,
)


def gradients(folder: Path, rows: list[tuple[Cell, ...]]) -> Path:
    table = Table(folder / "gradients.csv", GRADIENT_COLUMNS)
    table.append(rows)
    table.close()
    return folder / "gradients.csv"


def test_cells_are_written_as_published(tmp_path: Path) -> None:
    path = gradients(tmp_path, [ROW])
    assert (
        path.read_text().splitlines()[1] == "0,0,1,linear_1,1.5,,inf,nan,-inf,0,1e-30,1e+30,0.1,0.333333333"
    )


def test_a_row_reads_back_as_it_was_written(tmp_path: Path) -> None:
    gradients(tmp_path, [ROW])
    row = read_gradients(tmp_path).iloc[0]
    for column, value in zip(GRADIENT_COLUMNS, ROW, strict=True):
        if isinstance(value, str):
            assert row[column] == value
        else:
            assert row[column] == pytest.approx(math.nan if value is None else value, rel=1e-8, nan_ok=True)


def test_a_frame_in_memory_is_the_frame_that_reads_back(tmp_path: Path) -> None:
    gradients(tmp_path, [ROW, ROW])
    ours, theirs = frame([ROW, ROW], GRADIENT_COLUMNS), read_gradients(tmp_path)
    assert list(ours.dtypes) == list(theirs.dtypes)
    assert list(ours.columns) == list(theirs.columns)
    numbers = ours.columns.drop("name")
    np.testing.assert_allclose(ours[numbers].to_numpy(float), theirs[numbers].to_numpy(float), rtol=1e-8)
    assert list(ours["name"]) == list(theirs["name"])


def test_columns_that_are_empty_throughout_are_numbers_that_do_not_exist(tmp_path: Path) -> None:
    row = (*ROW[:4], *[None] * 10)
    gradients(tmp_path, [row])
    for table in (read_gradients(tmp_path), frame([row], GRADIENT_COLUMNS)):
        assert table.iloc[:, 4:].isna().all(axis=None)
        assert set(map(str, table.dtypes.iloc[4:])) == {"float64"}


@pytest.mark.parametrize("name", ["nan", "NA", "null", "None", "", "1", "inf", "a,b", 'a"b'])
def test_a_layer_may_have_any_name(name: str, tmp_path: Path) -> None:
    gradients(tmp_path, [(0, 0, 1, name, *ROW[4:])])
    table = read_gradients(tmp_path)
    assert list(table["name"]) == [name]
    assert list(table["grad_norm"]) == [1.5]


def test_rows_that_waited_together_are_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = Table(tmp_path / "gradients.csv", GRADIENT_COLUMNS)
    written: list[bytes] = []
    write = os.write

    def spy(descriptor: int, content: bytes) -> int:
        written.append(bytes(content))
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", spy)
    table.append([ROW] * 1000)
    table.append([ROW])
    assert not written
    table.flush()
    table.flush()
    table.append([ROW])
    table._written -= WAIT
    table.append([ROW])
    assert [content.count(b"\n") for content in written] == [1001, 2]
    assert all(content.endswith(b"\n") for content in written)
    monkeypatch.undo()
    table.close()


def test_rows_are_in_the_file_a_fifth_of_a_second_after_they_are_appended(tmp_path: Path) -> None:
    table = Table(tmp_path / "gradients.csv", GRADIENT_COLUMNS)
    for count in (1, 2, 3):
        table.append([ROW])
        assert len(read_gradients(tmp_path)) == count - 1
        table._written -= WAIT
        table.flush(WAIT)
        assert len(read_gradients(tmp_path)) == count
    table.append([ROW])
    table.close()
    assert len(read_gradients(tmp_path)) == 4


@pytest.mark.parametrize("lost", range(1, 60))
def test_a_last_row_that_was_cut_short_is_left_out(lost: int, tmp_path: Path) -> None:
    path = gradients(tmp_path, [ROW, (1, *ROW[1:])])
    path.write_bytes(path.read_bytes()[:-lost])
    assert list(read_gradients(tmp_path)["step"]) == [0]


def test_only_the_asked_columns_are_read(tmp_path: Path) -> None:
    gradients(tmp_path, [ROW])
    assert list(read_gradients(tmp_path, ["step", "layer", "name"]).columns) == ["step", "layer", "name"]
    assert list(read_gradients(tmp_path, ["delta_norm"]).columns) == ["delta_norm"]


def test_columns_added_later_do_not_disturb_the_reader(tmp_path: Path) -> None:
    table = Table(tmp_path / "metrics.csv", (*METRIC_COLUMNS, "learned"))
    table.append([(0, 0, *[0.5] * 9, 7.0)])
    table.close()
    assert list(read_metrics(tmp_path)["learned"]) == [7.0]
    assert list(read_metrics(tmp_path, ["step", "lr"]).columns) == ["step", "lr"]


HEADER = ",".join(GRADIENT_COLUMNS)


@pytest.mark.parametrize(
    "content, reason",
    [
        (None, "no gradients.csv"),
        (b"", "gradients.csv is empty"),
        (b"step,epo", "gradients.csv is empty"),
        (b"step,epoch\n0,0\n", "gradients.csv has no column layer; its first line is 'step,epoch'"),
        (b"\xff\xfe\x00\x01\n\x80\x81\n", "gradients.csv is not text: it has bytes of 0"),
        (b"step,layer\xff\n0,1\n", "gradients.csv is not text in UTF-8, at byte 10"),
        (b"step;layer\n0;1\n", "gradients.csv has no column step; its first line is 'step;layer'"),
        (b"step,layer,step\n0,1,2\n", "gradients.csv has the column 'step' twice"),
        (f"{HEADER}\nx,0,1,a{',0' * 10}\n".encode(), "step must be an integer from 0 on, is 'x'"),
        (f"{HEADER}\n,0,1,a{',0' * 10}\n".encode(), "step must be an integer from 0 on, is empty"),
        (f"{HEADER}\n0,0,-1,a{',0' * 10}\n".encode(), "layer must be an integer from 0 on, is -1"),
        (f"{HEADER}\n1e30,0,1,a{',0' * 10}\n".encode(), "step must be an integer from 0 on, is '1e.30'"),
        (f"{HEADER}\n0.5,0,1,a{',0' * 10}\n".encode(), "step must be an integer from 0 on, is '0.5'"),
        (f"{HEADER}\n0,0,1,a{',zero' * 10}\n".encode(), "grad_norm must be a number, is 'zero'"),
        (f"{HEADER}\n0,0,1,a{',True' * 10}\n".encode(), "grad_norm must be a number, is 'True'"),
        (f"{HEADER}\n0,0,1,a{',0' * 30}\n0\n".encode(), "gradients.csv has 34 fields in a row where"),
        (f"{HEADER}\n0,0,1,a{',0' * 9}\n".encode(), "gradients.csv has 13 fields in a row where"),
    ],
)
def test_a_table_that_cannot_be_read_is_named_with_the_reason(
    content: bytes | None, reason: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "gradients.csv").write_bytes(content)
    with pytest.raises(UnreadableRun, match=reason) as refusal:
        read_gradients(tmp_path, ["step", "layer", "name", "grad_norm"])
    assert refusal.value.folder == tmp_path
    assert refusal.value.reason in str(refusal.value)


@pytest.mark.parametrize(
    "content, reason",
    [
        (None, "the folder is empty"),
        ("", "run.json is not JSON"),
        ('{"status": "comp', "run.json is not JSON"),
        ("[]", "run.json must be an object, is a list"),
        ("{}", "run.json has no status"),
        ('{"status": "fine"}', "run.json: status must be one of running, .* failed, is 'fine'"),
        ('{"status": ["completed"]}', "status must be one of .*, is a list"),
    ],
)
def test_a_record_that_cannot_be_read_is_named_with_the_reason(
    content: str | None, reason: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(UnreadableRun, match=reason):
        read_run(tmp_path)


def test_bytes_that_are_no_text_are_not_a_record(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_bytes(b"\xff\xfe{}")
    with pytest.raises(UnreadableRun, match=r"run\.json is not text in UTF-8"):
        read_run(tmp_path)


def test_a_folder_of_something_else_has_no_record(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(UnreadableRun, match=r"no run\.json"):
        read_run(tmp_path)


def test_the_record_is_strict_json(tmp_path: Path) -> None:
    numbers = {"a": math.inf, "b": [-math.inf, (math.nan, 1.5)], "c": {1: None}, "d": "é", "e": True}
    write_run(tmp_path, {"status": "completed"} | numbers)
    record = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert record == {
        "status": "completed", "a": "inf", "b": ["-inf", ["nan", 1.5]], "c": {"1": None}, "d": "é", "e": True,
    }  # fmt: skip
    assert read_run(tmp_path) == record


def test_strict_leaves_the_original_alone() -> None:
    original = {"a": [math.nan]}
    assert strict(original) == {"a": ["nan"]}
    assert math.isnan(original["a"][0])


def test_replacing_a_file_leaves_the_old_one_when_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run.json"
    replace_file(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(records.os, "fsync", full)
    with pytest.raises(OSError, match="disk full"):
        replace_file(path, b"new", durable=True)
    assert path.read_bytes() == b"old"


def test_a_reader_never_sees_a_part_of_a_replaced_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, seen = tmp_path / "run.json", []
    replace_file(path, b"old")
    rename = os.replace

    def looking(source: Path, target: Path) -> None:
        seen.append(path.read_bytes())
        assert Path(source).read_bytes() == b"new"
        assert Path(source).parent == path.parent  # a rename is atomic within one file system only
        rename(source, target)

    monkeypatch.setattr(records.os, "replace", looking)
    replace_file(path, b"new")
    assert (seen, path.read_bytes()) == ([b"old"], b"new")
    assert [item.name for item in tmp_path.iterdir()] == ["run.json"]


def test_folders_are_reserved_once_under_contention(tmp_path: Path) -> None:
    workers = 16
    together = Barrier(workers)

    def reserve(_: int) -> Path:
        together.wait()
        return reserve_folder("out", tmp_path / "outputs", "2024-01-01_00-00-00")[0]

    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(reserve, range(workers)))
    assert len(set(found)) == workers
    assert all(folder.is_dir() for folder in found)
    names = {"2024-01-01_00-00-00"} | {f"2024-01-01_00-00-00_{number}" for number in range(2, workers + 1)}
    assert {folder.name for folder in found} == names


def test_a_file_in_the_way_counts_as_taken(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    assert reserve_folder("out", tmp_path, "run")[0].name == "run_2"


@pytest.mark.parametrize("steps", [1, 2, 7, 8, 9, 16, 17, 100])
@pytest.mark.parametrize("most", [4, 8, 120])
def test_reading_few_steps_is_reading_all_and_leaving_out_the_others(
    tmp_path: Path, steps: int, most: int
) -> None:
    head = "step,layer,grad_norm"
    rows = [f"{3 * step},{layer},{step + layer / 10}" for step in range(steps) for layer in (1, 2, 3)]
    (tmp_path / "gradients.csv").write_text("\n".join([head, *rows, "999,1"]))  # a row cut short
    every = read_gradients(tmp_path)
    few = read_gradients(tmp_path, most_steps=most)
    kept = sorted(set(few["step"]))
    assert kept == sorted({*evenly_spaced(list(range(0, 3 * steps, 3)), most)})
    assert few.equals(every[every["step"].isin(kept)].reset_index(drop=True))


def test_spread_steps_have_the_first_and_the_last_and_are_even() -> None:
    assert list(evenly_spaced(range(5), 5)) == [0, 1, 2, 3, 4]
    assert list(evenly_spaced(range(6), 5)) == [0, 2, 4, 5]
    assert list(evenly_spaced(range(101), 26)) == [*range(0, 100, 4), 100]


def test_a_table_that_does_not_begin_with_the_step_is_read_as_a_whole(tmp_path: Path) -> None:
    rows = [f"1,{step},0.5" for step in range(10)]
    (tmp_path / "gradients.csv").write_text("\n".join(["layer,step,grad_norm", *rows]) + "\n")
    assert list(read_gradients(tmp_path, most_steps=3)["step"]) == list(range(10))


def test_a_table_without_rows_has_few_of_none(tmp_path: Path) -> None:
    (tmp_path / "gradients.csv").write_text("step,layer,grad_norm\n")
    assert read_gradients(tmp_path, most_steps=3).empty


def test_steps_with_different_numbers_of_rows_are_told_apart(tmp_path: Path) -> None:
    counts = [2, 2, 1, 3, 2, 2, 2, 2, 3]  # 19 rows
    rows = [f"{step},{layer},0.5" for step, count in enumerate(counts) for layer in range(count)]
    (tmp_path / "gradients.csv").write_text("\n".join(["step,layer,grad_norm", *rows]) + "\n")
    few = read_gradients(tmp_path, most_steps=3)
    assert few["step"].tolist() == [0, 0, 4, 4, 8, 8, 8]
