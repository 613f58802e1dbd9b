"""Any table of a run: what is written reads back, by pandas and without it, whole or torn."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vanishgrad.records import (
    COUNT_COLUMNS,
    EXTRA_COLUMNS,
    GRADIENT_COLUMNS,
    GRADIENTS_FILE,
    LAYOUT,
    METRIC_COLUMNS,
    METRICS_FILE,
    TEXT_COLUMNS,
    Cell,
    Table,
    frame,
    lines,
    read_columns,
    read_extra,
    read_gradients,
)
from vanishgrad.rows import Columns

NAME = st.one_of(
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8),
    st.sampled_from(
        ["=1+1", "'", "'=x", "a,b", 'a"b', "nan", "", "-", "1", "\r", "a\r\nb", "\n", "é", " x "]
    ),
)
NUMBER = st.none() | st.floats() | st.sampled_from([math.inf, -math.inf, math.nan, -0.0, 5e-324, 1e308])
TABLES = {GRADIENTS_FILE: GRADIENT_COLUMNS, METRICS_FILE: METRIC_COLUMNS, **EXTRA_COLUMNS}


@st.composite
def tables(draw: st.DrawFn, most: int = 4) -> tuple[str, list[list[Cell]]]:
    """A file and rows for it, in the order of its columns."""
    file = draw(st.sampled_from(list(TABLES)))
    kinds = {
        **dict.fromkeys(TABLES[file], NUMBER),
        **dict.fromkeys(COUNT_COLUMNS, st.integers(0, 2**53)),
        **dict.fromkeys(TEXT_COLUMNS, NAME),
    }
    rows = [[draw(kinds[name]) for name in TABLES[file]] for _ in range(draw(st.integers(0, most)))]
    return file, rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def write(folder: Path, file: str, rows: Sequence[Sequence[Cell]]) -> bytes:
    table = Table(folder / file, TABLES[file])
    table.append(rows)
    table.close()
    return (folder / file).read_bytes()


def nine_digits(cell: Cell) -> Cell:
    """A cell as its nine significant digits tell it; what does not exist is NaN, and 0 has no sign."""
    return cell if isinstance(cell, str | int) else float("nan" if cell is None else f"{cell:.9g}") + 0.0


def cells(table: object, names: Sequence[str]) -> list[list[object]]:
    """The rows of a table, by their texts, in which nan is nan."""
    columns = [np.asarray(table[name]).tolist() for name in names]  # type: ignore[index]
    return [
        [repr(cell + 0.0 if isinstance(cell, float) else cell) for cell in row]
        for row in zip(*columns, strict=True)
    ]


def expected(rows: Sequence[Sequence[Cell]]) -> list[list[str]]:
    return [[repr(nine_digits(cell)) for cell in row] for row in rows]


def shown(kinds: Mapping[str, str]) -> dict[str, str]:
    """Kinds of columns as pandas names them: text was `object` before pandas 3."""
    return {name: str(pd.Series([], dtype=kind).dtype) for name, kind in kinds.items()}


@example((GRADIENTS_FILE, [[0, 0, 1, "=1+1", *[0.5] * 10], [0, 0, 2, "'=1", *[None] * 10]]))
@given(tables())
def test_rows_read_back_to_nine_digits_by_both_readers(
    folder: Path, one: tuple[str, list[list[Cell]]]
) -> None:
    file, rows = one
    write(folder, file, rows)
    by_pandas, without = read_extra(folder, file), read_columns(folder, file)
    assert cells(by_pandas, TABLES[file]) == cells(without, TABLES[file]) == expected(rows)
    assert len(by_pandas) == len(without) == len(rows)
    assert {name: str(kind) for name, kind in by_pandas.dtypes.items()} == shown(LAYOUT.kinds(TABLES[file]))


@given(tables())
def test_a_standard_reader_finds_every_field(one: tuple[str, list[list[Cell]]]) -> None:
    file, rows = one
    found = list(csv.reader(io.StringIO(lines(rows), newline="")))
    assert [len(row) for row in found] == [len(TABLES[file])] * len(rows)


@given(tables(), st.data())
def test_of_a_torn_table_the_whole_rows_are_read(
    folder: Path, one: tuple[str, list[list[Cell]]], data: st.DataObject
) -> None:
    file, rows = one
    content = write(folder, file, rows)
    head = content.index(b"\n") + 1
    end = data.draw(st.integers(head, len(content)))
    (folder / file).write_bytes(content[:end])
    whole = sum(len(lines(rows[: count + 1]).encode()) + head <= end for count in range(len(rows)))
    assert cells(read_extra(folder, file), TABLES[file]) == expected(rows[:whole])


@given(
    st.lists(NAME, max_size=4),
    st.lists(NAME, max_size=4),
    st.integers(0, 8),
    st.sampled_from([b"", b"9", b'9,"a\n', b"9,a"]),
)
def test_a_table_gone_on_with_has_the_rows_before_the_step_and_the_new_ones(
    folder: Path, one: list[str], other: list[str], step: int, torn: bytes
) -> None:
    head = ("step", "name", "grad_norm")
    old, new = [
        [[2 * place + first, name, 0.5] for place, name in enumerate(names)]
        for first, names in ((0, one), (step, other))
    ]
    table = Table(folder / "gone_on.csv", head)
    table.append(old)
    table.close()
    with open(folder / "gone_on.csv", "ab") as file:
        file.write(torn)
    again = Table(folder / "gone_on.csv", head, before=step)
    again.append(new)
    again.close()
    text = (folder / "gone_on.csv").read_bytes().decode()
    assert text == ",".join(head) + "\n" + lines([row for row in old if row[0] < step] + new)


@given(tables())
def test_rows_in_memory_are_the_table_that_reads_back(
    folder: Path, one: tuple[str, list[list[Cell]]]
) -> None:
    file, rows = one
    write(folder, file, rows)
    shorter = [[nine_digits(cell) for cell in row] for row in rows]
    columns = Columns.of(
        [[None if cell != cell else cell for cell in row] for row in shorter], TABLES[file], LAYOUT
    )
    for ours in (
        frame(shorter, TABLES[file]),
        columns,
        columns.frame(),
        Columns.read(columns.frame(), LAYOUT),
    ):
        assert cells(ours, TABLES[file]) == cells(read_extra(folder, file), TABLES[file])


def test_columns_answer_as_a_frame_does() -> None:
    rows: list[list[Cell]] = [[0, 1, 0.5, None], [10, 2, math.inf, 2.0]]
    names = ("step", "layer", "grad_norm", "delta_norm")
    columns = Columns.of(rows, names, LAYOUT)
    assert len(columns) == 2
    assert [name in columns for name in (*names, "name", "gate")] == [True] * 4 + [False] * 2
    assert columns["step"].dtype == np.int64
    assert columns["delta_norm"].tolist()[1:] == [2.0]
    assert math.isnan(columns["delta_norm"][0])
    with pytest.raises(KeyError):
        columns["gate"]
    assert list(columns.frame().columns) == list(names)


def test_columns_without_rows_have_their_names() -> None:
    columns = Columns.of([], GRADIENT_COLUMNS, LAYOUT)
    assert (len(columns), len(Columns({}, LAYOUT))) == (0, 0)
    assert all(name in columns and len(columns[name]) == 0 for name in GRADIENT_COLUMNS)
    assert {name: str(kind) for name, kind in columns.frame().dtypes.items()} == shown(
        LAYOUT.kinds(GRADIENT_COLUMNS)
    )


def test_columns_refuse_rows_of_another_width() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        Columns.of([[0, 1], [1]], ("step", "layer"), LAYOUT)
    with pytest.raises(ValueError, match="zip"):
        Columns.of([[0, 1, 2]], ("step", "layer"), LAYOUT)


@given(st.lists(st.tuples(st.integers(1, 3), NAME), min_size=1, max_size=6), st.integers(1, 4))
def test_few_steps_of_any_table_are_those_of_all_of_it(
    folder: Path, steps: list[tuple[int, str]], most: int
) -> None:
    rows: list[list[Cell]] = [
        [10 * step, 0, layer, name, *[0.5] * 10]
        for step, (count, name) in enumerate(steps)
        for layer in range(count)
    ]
    write(folder, GRADIENTS_FILE, rows)
    every, few = read_gradients(folder), read_gradients(folder, most_steps=most)
    kept = set(few["step"])
    assert {0, 10 * (len(steps) - 1)} <= kept
    assert few.equals(every[every["step"].isin(kept)].reset_index(drop=True))
