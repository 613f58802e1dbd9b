"""Cells that a spreadsheet would take for formulas, and tables that are read back."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pandas as pd
import pytest

from vanishgrad.records import GRADIENT_COLUMNS, Table, read_gradients
from vanishgrad.rows import harmless, original, read_text, written

FORMULAS = [
    "=1+1",
    "+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "=",
    "-",
    "\uff1d1",
    "'=1",
]


@pytest.mark.parametrize("text", [*FORMULAS, "relu", "", "'relu'", "a=b", "'", "''=x", " =1"])
def test_a_cell_reads_back_as_the_text_that_it_was(text: str) -> None:
    assert original(harmless(text)) == text


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_begins_as_a_formula(text: str) -> None:
    assert harmless(text)[0] == "'"


@pytest.mark.parametrize("number", ["-1", "-0.5", "+3", "-1e-30", "-inf", "3"])
def test_numbers_are_no_formulas(number: str) -> None:
    assert harmless(number) == number


@pytest.mark.parametrize("name", FORMULAS)
def test_module_names_are_harmless_in_the_file_and_themselves_when_read(name: str, tmp_path: Path) -> None:
    table = Table(tmp_path / "gradients.csv", GRADIENT_COLUMNS)
    table.append([(0, 0, 1, name, -0.5, *[None] * 9)])
    table.close()
    (row,) = list(csv.reader(io.StringIO((tmp_path / "gradients.csv").read_text(), newline="")))[1:]
    assert row[3][0] == "'"
    assert row[4] == "-0.5"
    assert read_gradients(tmp_path)["name"].tolist() == [name]


def test_tables_for_people_are_harmless_and_read_back(tmp_path: Path) -> None:
    table = pd.DataFrame({"=setting": FORMULAS, "slope": -0.25, "seed": -1, "@mixed": ["-", 3] * 5 + [None]})
    (tmp_path / "summary.csv").write_bytes(written(table, 9))
    rows = list(csv.reader(io.StringIO((tmp_path / "summary.csv").read_text(), newline="")))
    assert all(
        cell[:1] not in "=+@\t\r\n-" or math.isfinite(float(cell)) for row in rows for cell in row if cell
    )
    back = read_text(tmp_path / "summary.csv")
    assert back["=setting"].tolist() == FORMULAS
    assert back["slope"].tolist() == [-0.25] * len(FORMULAS)


def test_a_report_on_a_foreign_run_has_no_formula(tmp_path: Path) -> None:
    from vanishgrad.report import Wanted, write_report

    for number, name in enumerate(["=HYPERLINK(1)", "@evil"]):
        folder = tmp_path / "runs" / str(number)
        folder.mkdir(parents=True)
        choices = {"act": {"name": name}, "=key": number, "status": number, "run": number, "setting": number}
        (folder / "run.json").write_text(json.dumps({"status": "completed", "choices": choices}))
        (folder / "gradients.csv").write_text("step,layer,grad_norm\n0,1,0.1\n0,2,1.0\n")
    write_report([tmp_path / "runs"], tmp_path / "out", Wanted(figures=("gradient_by_layer",)))
    for file in ("summary.csv", "settings.csv"):
        rows = list(csv.reader((tmp_path / "out" / file).read_text().splitlines()))
        assert not [cell for row in rows for cell in row if cell[:1] in ("=", "@", "+")]
    assert read_text(tmp_path / "out" / "summary.csv")["act"].tolist() == ["=HYPERLINK(1)", "@evil"]
