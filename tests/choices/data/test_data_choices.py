from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from vanishgrad.choices.data import (
    CIFAR10,
    MNIST,
    Adding,
    CopyMemory,
    Data,
    Digits,
    FashionMNIST,
    Spirals,
    TemporalOrder,
    Text,
)
from vanishgrad.errors import SettingError

IMAGES = (Digits, MNIST, FashionMNIST, CIFAR10)
SCALED = (*IMAGES, Spirals)
GENERATED = (Adding, CopyMemory, TemporalOrder)
CONF = Path(__file__).parents[3] / "conf" / "data"


@pytest.mark.parametrize(
    ("data", "shape", "outputs", "symbols", "loss"),
    [
        (Digits(), (1, 8, 8), 10, None, "cross_entropy"),
        (MNIST(), (1, 28, 28), 10, None, "cross_entropy"),
        (FashionMNIST(), (1, 28, 28), 10, None, "cross_entropy"),
        (CIFAR10(), (3, 32, 32), 10, None, "cross_entropy"),
        (Digits(sequence="rows"), (8, 8), 10, None, "cross_entropy"),
        (MNIST(sequence="pixels"), (784, 1), 10, None, "cross_entropy"),
        (FashionMNIST(sequence="rows"), (28, 28), 10, None, "cross_entropy"),
        (CIFAR10(sequence="rows"), (32, 96), 10, None, "cross_entropy"),
        (CIFAR10(sequence="pixels"), (1024, 3), 10, None, "cross_entropy"),
        (Spirals(classes=5), (2,), 5, None, "cross_entropy"),
        (Adding(length=7), (7, 2), 1, None, "mse"),
        (CopyMemory(length=100), (120,), 9, 10, "cross_entropy"),
        (CopyMemory(length=5, memory=2, alphabet=3), (9,), 4, 5, "cross_entropy"),
        (TemporalOrder(length=30), (30,), 4, 8, "cross_entropy"),
    ],
)
def test_a_choice_describes_its_examples_without_loading_them(
    data: Data, shape: tuple[int, ...], outputs: int, symbols: int | None, loss: str
) -> None:
    assert (data.shape, data.outputs, data.symbols, data.default_loss) == (shape, outputs, symbols, loss)


def test_only_data_with_a_published_baseline_has_one() -> None:
    assert [choice().baseline for choice in SCALED] == [None] * 5
    assert {choice: getattr(choice().baseline, "metric", None) for choice in GENERATED} == {
        Adding: "val_loss",
        CopyMemory: "val_loss",
        TemporalOrder: "val_accuracy",
    }


def test_importing_the_choices_reads_nothing_and_stays_light() -> None:
    program = (
        "import sys, builtins; opened = []; import os, io;"
        "import dataclasses, typing, collections, functools, math, pathlib, importlib, numpy, torch;"
        "sys.addaudithook(lambda event, what: opened.append(str(what[0])) if event == 'open' else None);"
        "import vanishgrad.choices.data;"
        "print([name for name in opened if not name.endswith(('.py', '.pyc')) and '.pyc.' not in name]);"
        "print({'pandas', 'sklearn', 'matplotlib', 'pydoc_data.topics'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["[]", "set()", ""]


@pytest.mark.parametrize("choice", (*SCALED, *GENERATED, Text))
def test_the_yaml_file_of_a_choice_lists_its_fields_and_defaults(choice: Any) -> None:
    text = (CONF / f"{choice.name}.yaml").read_text()
    fields = yaml.safe_load(text)
    assert fields.pop("_target_") == f"vanishgrad.choices.data.{choice.__name__}"
    assert list(fields) == [field.name for field in dataclasses.fields(choice)]
    assert choice(**fields) == choice()
    assert text.startswith(f"# vanishgrad train data={choice.name} ")


@pytest.mark.parametrize(
    ("choice", "setting", "message"),
    [
        (Digits, {"train_size": -3}, "data.train_size=-3: must be from 1 to 1796, or null"),
        (Digits, {"train_size": 0}, "data.train_size=0: must be from 1 to 1796, or null"),
        (Digits, {"train_size": 1797}, "data.train_size=1797: must be from 1 to 1796, or null"),
        (MNIST, {"train_size": 60_001}, "data.train_size=60001: must be from 1 to 60000, or null"),
        (FashionMNIST, {"train_size": 60_001}, "data.train_size=60001: must be from 1 to 60000, or null"),
        (CIFAR10, {"train_size": 50_001}, "data.train_size=50001: must be from 1 to 50000, or null"),
        (CIFAR10, {"root": ""}, "data.root=: must be the folder of the files, or null to download them"),
        (Spirals, {"points": 6, "train_size": 6}, "data.train_size=6: must be from 1 to 5, or null"),
        (Spirals, {"points": 2}, "data.points=2: must be at least data.classes=3"),
        (Spirals, {"classes": 1}, "data.classes=1: must be at least 2"),
        (Spirals, {"noise": -0.1}, "data.noise=-0.1: must be finite, at least 0"),
        (Spirals, {"noise": float("nan")}, "data.noise=nan: must be finite, at least 0"),
        (Adding, {"length": 1}, "data.length=1: must be at least 2"),
        (Adding, {"train_size": 0}, "data.train_size=0: must be at least 1"),
        (Adding, {"held_out": 0}, "data.held_out=0: must be at least 1"),
        (
            Adding,
            {"length": 10_000},
            "data.train_size=50000 data.held_out=2000: sequences of this length must be at most 12500 in "
            "all, to fit into memory",
        ),
        (CopyMemory, {"length": 0}, "data.length=0: must be at least 1"),
        (CopyMemory, {"memory": 0}, "data.memory=0: must be at least 1"),
        (CopyMemory, {"alphabet": 1}, "data.alphabet=1: must be at least 2"),
        (CopyMemory, {"train_size": -1}, "data.train_size=-1: must be at least 1"),
        (
            CopyMemory,
            {"length": 10**9},
            "data.train_size=20000 data.held_out=1000: sequences of this length must be at most 0 in all, "
            "to fit into memory",
        ),
        (TemporalOrder, {"length": 19}, "data.length=19: must be at least 20"),
        (TemporalOrder, {"held_out": 0}, "data.held_out=0: must be at least 1"),
        (Text, {"path": ""}, "data.path=: must be a UTF-8 file, or null for the text CPython carries"),
        (Text, {"length": 0}, "data.length=0: must be at least 1"),
        (Text, {"train_size": 0}, "data.train_size=0: must be at least 1"),
        *[
            (
                choice,
                {"sequence": "row"},
                "data.sequence=row: choose one of rows, pixels, null (did you mean rows?)",
            )
            for choice in IMAGES
        ],
        *[
            (
                choice,
                {"scale": "units"},
                "data.scale=units: choose one of standard, unit (did you mean unit?)",
            )
            for choice in SCALED
        ],
    ],
)
def test_a_refused_setting_names_the_key_the_value_and_the_rule(
    choice: Any, setting: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError) as error:
        choice(**setting)
    assert str(error.value) == message
