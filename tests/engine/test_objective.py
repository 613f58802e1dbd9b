"""What a search looks at."""

from __future__ import annotations

import math

import pytest

from vanishgrad.choices.data import Adding, Data, Digits, MovingDigits, load
from vanishgrad.config.plan import plan_of, without_hydra
from vanishgrad.config.setting import to_setting
from vanishgrad.engine.evaluate import OBJECTIVES, check_objective, objective_of
from vanishgrad.errors import SettingError

NUMBERS = {"val_accuracy": 0.9, "val_loss": 0.3, "gradient_slope": -0.1}


def objective(*overrides: str) -> str:
    return to_setting(without_hydra(plan_of(overrides, multirun=False).config)).objective


def test_it_is_the_accuracy_unless_another_is_typed() -> None:
    assert objective() == "val_accuracy"
    assert [objective(f"objective={name}") for name in OBJECTIVES] == list(OBJECTIVES)


@pytest.mark.parametrize(
    "typed, told",
    [
        ("objective=foo", "objective=foo: choose one of val_accuracy, val_loss, gradient_slope"),
        ("objective=val_los", "(did you mean val_loss?)"),
        ("objective=null", "objective=null: choose one of"),
        ("objctive=val_loss", "there is no setting objctive; valid are"),
        ("objctive=val_loss", "(did you mean objective?)"),
        ("~objective", "a setting cannot be deleted; write objective=VALUE"),
        ("objective.name=val_loss", "objective has no parameters; write objective=VALUE"),
    ],
)
def test_a_wrong_one_is_refused(typed: str, told: str) -> None:
    with pytest.raises(SettingError) as refused:
        objective(typed)
    assert told in str(refused.value)


@pytest.mark.parametrize("data", [Adding(), MovingDigits()], ids=lambda data: data.name)
def test_values_have_no_accuracy_to_look_at(data: Data) -> None:
    examples = load(data)
    with pytest.raises(SettingError, match=r"^objective=val_accuracy: .* choose val_loss or gradient_slope$"):
        check_objective("val_accuracy", examples)
    check_objective("val_loss", examples)
    check_objective("gradient_slope", examples)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_classes_have_every_objective(name: str) -> None:
    check_objective(name, load(Digits()))


@pytest.mark.parametrize("maximize", [False, True])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_of_a_completed_run_it_is_the_final_number(name: str, maximize: bool) -> None:
    assert objective_of(name, "completed", NUMBERS, maximize=maximize) == NUMBERS[name]


@pytest.mark.parametrize("maximize, worst", [(False, math.inf), (True, -math.inf)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
def test_what_is_no_number_is_the_worst(value: float | None, maximize: bool, worst: float) -> None:
    for name in OBJECTIVES:
        assert objective_of(name, "completed", {name: value}, maximize=maximize) == worst
        assert objective_of(name, "failed", {}, maximize=maximize) == worst


@pytest.mark.parametrize("status", ["diverged", "failed", "interrupted"])
def test_what_a_lost_run_had_reached_does_not_count(status: str) -> None:
    assert objective_of("val_accuracy", status, NUMBERS, maximize=True) == -math.inf
    assert objective_of("val_loss", status, NUMBERS, maximize=False) == math.inf
    assert objective_of("gradient_slope", status, NUMBERS, maximize=False) == NUMBERS["gradient_slope"]
