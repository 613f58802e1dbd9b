"""`vanishgrad options`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml

from vanishgrad.run import GROUPS, SCALARS, Run

Vanishgrad = Callable[..., Any]

CONF = Path(__file__).parents[2] / "conf"


def document(done: Any) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    assert (done.status, done.err) == (0, "")
    loaded: dict[str, Any] = json.loads(done.out, parse_constant=refuse)
    return loaded


def test_the_json_has_every_file_in_conf_with_every_key_and_default(vanishgrad: Vanishgrad) -> None:
    found = {
        (group["name"], choice["name"]): {item["key"]: item["default"] for item in choice["parameters"]}
        for group in document(vanishgrad("options", "format=json"))["groups"]
        for choice in group["choices"]
    }
    files = {}
    for file in CONF.glob("*/*.yaml"):
        group, keys = file.parent.name, yaml.safe_load(file.read_text()) or {}
        own = {} if group == "experiment" else {f"{group}.{k}": v for k, v in keys.items() if k != "_target_"}
        files[group, file.stem] = {key: float(v) if "e-" in str(v) else v for key, v in own.items()}
    assert found == files


def test_the_json_has_every_number_with_its_default_and_meaning(vanishgrad: Vanishgrad) -> None:
    scalars = document(vanishgrad("options", "format=json"))["scalars"]
    assert {item["key"]: item["default"] for item in scalars} == {key: getattr(Run(), key) for key in SCALARS}
    assert all(item["meaning"] for item in scalars)


def test_the_defaults_of_the_groups_are_those_of_a_run(vanishgrad: Vanishgrad) -> None:
    groups = {
        group["name"]: group["default"] for group in document(vanishgrad("options", "format=json"))["groups"]
    }
    assert groups.pop("remedy") == groups.pop("experiment") == "none"
    expected = {item.name: getattr(getattr(Run(), item.name), "name", None) for item in fields(Run)}
    assert groups == {name: expected[name] for name in GROUPS}


def test_every_choice_and_every_parameter_says_what_it_is(vanishgrad: Vanishgrad) -> None:
    for group in document(vanishgrad("options", "format=json"))["groups"]:
        for choice in group["choices"]:
            assert choice["summary"], (group["name"], choice["name"])
            for item in choice["parameters"]:
                explained = item["meaning"] or choice["name"] == "none" or group["name"] in ("data", "norm")
                assert explained, item["key"]


def test_one_group_is_that_group_alone(vanishgrad: Vanishgrad) -> None:
    everything = document(vanishgrad("options", "format=json"))["groups"]
    alone = document(vanishgrad("options", "act", "format=json"))
    assert alone == {"groups": [group for group in everything if group["name"] == "act"]}


def test_the_text_names_every_choice_parameter_and_default(vanishgrad: Vanishgrad) -> None:
    done = vanishgrad("options", "act")
    assert (done.status, done.err) == (0, "")
    assert {file.stem for file in (CONF / "act").glob("*.yaml")} <= set(done.out.split())
    assert "act.slope=0.01" in done.out
    assert "Default: relu" in done.out
    assert "lr=null" in vanishgrad("options").out


def test_no_line_ends_in_blanks(vanishgrad: Vanishgrad) -> None:
    assert not [line for line in vanishgrad("options").out.splitlines() if line != line.rstrip()]


@pytest.mark.parametrize(
    "arguments, told",
    [
        (("atc",), "choose one of model, act, init"),
        (("act", "norm"), "one group at a time"),
        (("format=yaml",), "format=yaml: choose one of text, json"),
        (("frmat=json",), "did you mean format?"),
    ],
)
def test_a_wrong_argument_gets_one_message(
    vanishgrad: Vanishgrad, arguments: tuple[str, ...], told: str
) -> None:
    done = vanishgrad("options", *arguments)
    assert (done.status, done.out) == (2, "")
    assert told in done.error
