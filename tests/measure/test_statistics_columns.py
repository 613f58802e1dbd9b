"""Columns of which not every weight matrix has an entry, against dictionaries."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from vanishgrad.measure.statistics import Columns

NAMES = ("a", "b", "c")
PUT = st.tuples(st.integers(1, 4), st.lists(st.integers(0, 5), unique=True, max_size=4))  # entries, matrices


@given(st.lists(PUT, min_size=1, max_size=3), st.integers(1, 3), st.booleans(), st.data())
def test_every_number_is_found_where_it_was_put(
    puts: list[tuple[int, list[int]]], runs: int, extra: bool, data: st.DataObject
) -> None:
    columns, known = Columns(), dict[tuple[str, int], list[float]]()
    for name, (entries, matrices) in zip(NAMES, puts, strict=False):
        values = torch.arange(entries * runs, dtype=torch.float32).view(entries, runs) + 1000 * ord(name)
        places = {matrix: data.draw(st.integers(0, entries - 1)) for matrix in matrices}
        columns.put(name, values, places)
        known |= {(name, matrix): values[entry].tolist() for matrix, entry in places.items()}
    vector = torch.tensor([0.5, math.inf]) if extra else None
    numbers, beside = columns.to_host(vector)
    assert beside == ([0.5, math.inf] if extra else [])
    assert len(numbers) == runs
    for matrix in range(6):
        for name, place in zip(
            (*NAMES, "never put"), columns.of_matrix(matrix, (*NAMES, "never put")), strict=True
        ):
            there = known.get((name, matrix))
            assert (place == -1) == (there is None)
            if there is not None:
                assert [own[place] for own in numbers] == there


def test_columns_of_one_table_share_its_numbers() -> None:
    columns, table = Columns(), torch.tensor([[1.0], [2.0]])
    columns.put("a", table, {0: 0})
    columns.put("b", table, {0: 1})
    assert columns.of_matrix(0, ("a", "b")) == [0, 1]
    assert columns.to_host() == ([[1.0, 2.0]], [])


def test_numbers_are_handed_over_in_float64() -> None:
    columns, third = Columns(), torch.tensor([[1 / 3]], dtype=torch.float64)
    columns.put("a", third.float(), {0: 0})
    columns.put("b", third, {0: 0})
    assert columns.to_host()[0] == [[float(third.float()), 1 / 3]]
