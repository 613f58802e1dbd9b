"""Plain data written as strict JSON and read back, and a setting with one key per value."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vanishgrad.records import as_number, flatten, numbers, read_run, strict, strict_json, write_run

TEXT = st.text(max_size=8)
ANY_TEXT = TEXT | st.sampled_from(["\udcff", "\ud800x", "\\udcff", "\\"])  # also what no UTF-8 can hold
SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.floats().map(np.float64),
    st.sampled_from([math.inf, -math.inf, math.nan, -0.0]), ANY_TEXT,
    st.sampled_from(["nan", "\u2028", '"', "\\", "\n", "é", "\x7f"]),
)  # fmt: skip
DATA = st.recursive(
    SCALAR,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(ANY_TEXT, inner, max_size=3),
        st.dictionaries(ANY_TEXT, inner, max_size=3).map(MappingProxyType),
    ),
    max_leaves=10,
)


def by_hand(value: Any) -> Any:
    """What reading back gives: lists for tuples, words for numbers that are not finite."""
    match value:
        case Mapping():
            return {key: by_hand(item) for key, item in value.items()}
        case list() | tuple():
            return [by_hand(item) for item in value]
        case float() if math.isnan(value):
            return "nan"
        case float() if math.isinf(value):
            return "inf" if value > 0 else "-inf"
        case _:
            return value


def same(one: Any, other: Any) -> bool:
    """Whether they are equal in their kinds too: 1 is not True, 0.0 not -0.0, 1 not 1.0."""
    return repr(one) == repr(other)


@given(DATA, st.sampled_from([None, 0, 1, 2, 4]), st.booleans())
def test_what_is_written_reads_back(data: Any, indent: int | None, ascii_only: bool) -> None:
    text = strict_json(data, indent, ascii_only=ascii_only)
    back = json.loads(text, parse_constant=pytest.fail)
    plain = json.loads(json.dumps(by_hand(data)))  # numpy's floats as Python's
    assert same(back, plain)
    assert text.isascii() or not ascii_only


@given(DATA, st.integers(0, 4), st.booleans())
def test_the_text_is_that_of_the_standard_library(data: Any, indent: int, ascii_only: bool) -> None:
    expected = json.dumps(by_hand(data), indent=indent, ensure_ascii=ascii_only)
    assert strict_json(data, indent, ascii_only=ascii_only) == expected


@given(DATA, st.integers(1, 4), st.integers(1, 5))
def test_inside_of_something_every_further_line_stands_in(data: Any, indent: int, level: int) -> None:
    outside = strict_json(data, indent)
    assert strict_json(data, indent, level=level) == outside.replace("\n", "\n" + " " * level)


def test_the_keys_of_json_are_text() -> None:
    for indent in (None, 1):
        assert json.loads(strict_json({1: {2.5: None}}, indent)) == {"1": {"2.5": None}}


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", np.arange(2)])
def test_what_is_no_plain_data_is_a_defect(value: object) -> None:
    for indent in (None, 1):
        with pytest.raises(TypeError):
            strict_json([value], indent)


@given(st.dictionaries(TEXT, TEXT | st.floats() | st.lists(st.floats()), max_size=3))
def test_a_record_reads_back(tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]) -> None:
    folder = tmp_path_factory.getbasetemp()
    write_run(folder, {"status": "completed", "own": data})
    assert same(read_run(folder)["own"], json.loads(json.dumps(by_hand(data))))


@given(st.dictionaries(ANY_TEXT, st.none() | st.floats() | st.integers(-(2**53), 2**53)))
def test_metrics_that_went_through_json_are_the_numbers_that_they_were(metrics: dict[str, Any]) -> None:
    back = numbers(json.loads(strict_json(metrics)))
    assert list(back) == list(metrics)
    for name, value in metrics.items():
        assert back[name] == value or (value != value and math.isnan(back[name] or 0.0))
        number = as_number(strict(value))
        assert number == value or (math.isnan(number) and (value is None or value != value))


KEY = st.text(st.characters(exclude_characters="."), min_size=1, max_size=6)
PARAMETER = KEY.filter(lambda key: key != "name")
VALUE = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
CHOICE = st.tuples(st.text(max_size=5), st.dictionaries(PARAMETER, VALUE, max_size=3)).map(
    lambda pair: {"name": pair[0], **pair[1]}
)
SETTING = st.dictionaries(KEY, VALUE | CHOICE, max_size=5)


def unflattened(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The setting that flat keys tell, a choice without parameters by its name."""
    setting: dict[str, Any] = {}
    for key, value in flat.items():
        group, _, parameter = key.partition(".")
        if parameter:
            before = setting[group]
            setting[group] = before if isinstance(before, dict) else {"name": before}
            setting[group][parameter] = value
        else:
            setting[group] = value
    return setting


def bare(setting: Mapping[str, Any]) -> dict[str, Any]:
    """A setting in which choices without parameters are their names."""
    return {
        key: value["name"] if isinstance(value, dict) and len(value) == 1 else value
        for key, value in setting.items()
    }


@given(SETTING)
def test_a_flat_setting_tells_the_setting(setting: dict[str, Any]) -> None:
    assert same(unflattened(flatten(setting, unused=True)), bare(setting))


@given(SETTING)
def test_the_parameters_of_the_choice_none_are_left_out_and_no_others(setting: dict[str, Any]) -> None:
    used = {
        key: "none" if isinstance(value, dict) and value["name"] == "none" else value
        for key, value in setting.items()
    }
    assert same(flatten(setting), flatten(used, unused=True))


def test_what_has_no_effect_is_left_out_of_a_flat_setting() -> None:
    setting = {"norm": {"name": "none", "position": "post"}, "act": {"name": "elu", "alpha": 2.0}}
    assert flatten(setting) == {"norm": "none", "act": "elu", "act.alpha": 2.0}
    assert flatten(setting, unused=True) == {
        "norm": "none", "norm.position": "post", "act": "elu", "act.alpha": 2.0,
    }  # fmt: skip


def test_a_list_in_a_setting_is_text() -> None:
    steps = {"schedule": {"name": "step", "milestones": [0.5, 0.75]}}
    assert flatten(steps) == {"schedule": "step", "schedule.milestones": "[0.5, 0.75]"}
