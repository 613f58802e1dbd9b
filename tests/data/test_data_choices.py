from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml

from vanishgrad.choices.data import CIFAR10, MNIST, Data, Digits, FashionMNIST, Spirals
from vanishgrad.errors import SettingError

CHOICES = (Digits, MNIST, FashionMNIST, CIFAR10, Spirals)
CONF = Path(__file__).parents[2] / "conf" / "data"


def describe(data: Data) -> tuple[tuple[int, ...], int, str]:
    return data.shape, data.outputs, data.default_loss


@pytest.mark.parametrize(
    ("data", "shape", "outputs"),
    [
        (Digits(), (1, 8, 8), 10),
        (MNIST(), (1, 28, 28), 10),
        (FashionMNIST(), (1, 28, 28), 10),
        (CIFAR10(), (3, 32, 32), 10),
        (Spirals(classes=5), (2,), 5),
    ],
)
def test_a_choice_describes_its_examples_without_loading_them(
    data: Data, shape: tuple[int, ...], outputs: int
) -> None:
    assert describe(data) == (shape, outputs, "cross_entropy")


@pytest.mark.parametrize("choice", CHOICES)
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
        *[
            (
                choice,
                {"scale": "units"},
                "data.scale=units: choose one of standard, unit (did you mean unit?)",
            )
            for choice in CHOICES
        ],
    ],
)
def test_a_refused_setting_names_the_key_the_value_and_the_rule(
    choice: Any, setting: dict[str, Any], message: str
) -> None:
    with pytest.raises(SettingError) as error:
        choice(**setting)
    assert str(error.value) == message
