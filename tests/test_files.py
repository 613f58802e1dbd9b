"""What is on a disk that is full is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vanishgrad.errors import WriteError
from vanishgrad.files import replace_file
from vanishgrad.records import GRADIENT_COLUMNS, Cell, Table

ROW: tuple[Cell, ...] = (0, 0, 1, "linear_1", *[0.125] * 10)


@pytest.mark.parametrize("left", [0, 1, 30, 75, 140])
def test_rows_that_do_not_fit_are_not_there_at_all(disk: Any, left: int) -> None:
    table = Table(disk.folder / "gradients.csv", GRADIENT_COLUMNS)
    table.append([ROW])
    table.flush()
    before = (disk.folder / "gradients.csv").read_bytes()
    disk.fill(left)
    table.append([ROW, ROW])
    with pytest.raises(WriteError, match=r"gradients\.csv: cannot be written: No space left on device$"):
        table.flush()
    assert (disk.folder / "gradients.csv").read_bytes() == before
    disk.empty()
    table.close()
    assert (disk.folder / "gradients.csv").read_bytes().count(b"\n") == 4


def test_a_table_is_closed_though_its_rows_are_lost(disk: Any) -> None:
    table = Table(disk.folder / "gradients.csv", GRADIENT_COLUMNS)
    table.append([ROW])
    disk.fill()
    with pytest.raises(WriteError):
        table.close()
    disk.empty()
    table.close()
    assert (disk.folder / "gradients.csv").read_bytes().count(b"\n") == 1


@pytest.mark.parametrize("left", [0, 3])
def test_a_file_that_cannot_be_replaced_stays_and_nothing_is_beside_it(disk: Any, left: int) -> None:
    replace_file(disk.folder / "run.json", b"before")
    disk.fill(left)
    with pytest.raises(WriteError, match=r"run\.json: cannot be written: No space left on device$"):
        replace_file(disk.folder / "run.json", b"after")
    assert [(path.name, path.read_bytes()) for path in disk.folder.iterdir()] == [("run.json", b"before")]


def test_the_system_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"x/run\.json: cannot be written: No such file or directory$"):
        replace_file(tmp_path / "x" / "run.json", b"")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WriteError, match=r"cannot be written: Not a directory$"):
        Table(tmp_path / "file" / "gradients.csv", GRADIENT_COLUMNS)
