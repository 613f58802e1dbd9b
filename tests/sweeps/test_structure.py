"""What two runs must share to be stacked: every field of a run, and every parameter of every choice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest

from vanishgrad.choices.activation import Sigmoid
from vanishgrad.choices.clipping import ClipByNorm, ClipByValue
from vanishgrad.choices.data import Digits, MovingDigits, Text
from vanishgrad.choices.initialization import He, Zeros
from vanishgrad.choices.model.conv_lstm import ConvLSTM
from vanishgrad.choices.model.feedforward import CNN
from vanishgrad.choices.model.recurrent import RNN
from vanishgrad.choices.optimizer import SGD, Adam
from vanishgrad.choices.regularization import L1, L2, Dropout
from vanishgrad.description import choices_in
from vanishgrad.errors import SettingError
from vanishgrad.run import GROUPS, SCALARS, Run, structure

OTHER: dict[str, Any] = {
    "depth": 6, "width": 32, "epochs": 3, "max_steps": 5, "batch_size": 32, "lr": 0.5, "warmup": 3, "seed": 1,
    "device": "cpu", "dtype": "float64", "threads": 1, "log_every": 3, "eval_every": 4,
    "measure": "gradients", "recompute_every": 2, "save_every": 5, "snapshots": 2, "dead_every": 4,
    "input_gradients": 16, "stop_on": "vanishing", "name": "another",
}  # fmt: skip
VARIES = {"seed", "lr", "warmup", "name"}  # the fields in which the runs of a stack may differ
GROUPS_THAT_VARY = {"init", "schedule"}  # whole choices
PARAMETERS_THAT_VARY = {"clip", "reg"}  # of one kind of choice
WORDS = ("post", "uniform", "normal", "unit", "rows", "orthogonal", "another")


def others(value: Any) -> list[Any]:
    """Values unlike `value` that the same parameter might take."""
    match value:
        case bool():
            found: list[Any] = [not value]
        case int() | float():
            found = [value + 1, value + 2, value * 2, value / 2, 0.5]
        case tuple():
            found = [(0.25,)]
        case _:
            found = [3, 64, 0.5, *WORDS]
    return [other for other in found if other != value]


def run_with(group: str, choice: Any) -> Run:
    """A run in which the choice makes sense."""
    beside: dict[str, Any] = {}
    if choice.name == "instance":
        beside = {"model": CNN()}
    elif isinstance(choice, ConvLSTM | MovingDigits):
        beside = {"model": ConvLSTM(), "data": MovingDigits()}
    elif isinstance(choice, Text) or (group == "data" and (len(choice.shape) == 2 or choice.symbols)):
        beside = {"model": RNN()}
    elif group == "pretrain":
        beside = {"act": Sigmoid(), "data": Digits(scale="unit")}
    return Run(**(beside | {group: choice}))


def changed(group: str, kind: Any) -> Iterator[tuple[str, Run, Run]]:
    """For every parameter of a choice, two runs that differ in it alone."""
    for parameter in (item.name for item in fields(kind)):
        yield parameter, *_pair(group, kind(), parameter)


def _pair(group: str, choice: Any, parameter: str) -> tuple[Run, Run]:
    for value in others(getattr(choice, parameter)):
        try:
            return run_with(group, choice), run_with(group, replace(choice, **{parameter: value}))
        except (SettingError, TypeError):
            continue
    raise AssertionError(f"no other value is known for {group}.{parameter}")


CHOICES = [
    pytest.param(group, kind, id=f"{group}={name}")
    for group in GROUPS
    for name, kind in choices_in(group).items()
]


@pytest.mark.parametrize("field", SCALARS)
def test_a_field_keeps_two_runs_apart_unless_a_stack_can_vary_it(field: str) -> None:
    run, other = Run(), replace(Run(), **{field: OTHER[field]})
    assert run != other
    assert (structure(run) == structure(other)) == (field in VARIES)


@pytest.mark.parametrize("group, kind", CHOICES)
def test_a_parameter_keeps_two_runs_apart_unless_a_stack_can_vary_it(group: str, kind: Any) -> None:
    for parameter, run, other in changed(group, kind):
        assert run != other
        may = group in GROUPS_THAT_VARY | PARAMETERS_THAT_VARY or (kind is SGD and parameter == "momentum")
        assert (structure(run) == structure(other)) == may, parameter


@pytest.mark.parametrize("group, kind", CHOICES)
def test_another_choice_keeps_two_runs_apart_but_for_initial_values_and_rates(group: str, kind: Any) -> None:
    run = run_with(group, kind())
    default = replace(run, **{group: getattr(Run(), group)}) if group not in {"model", "data"} else Run()
    same = getattr(run, group) == getattr(default, group)
    assert (structure(run) == structure(default)) == (same or group in GROUPS_THAT_VARY)


def test_numbers_that_vary_may_all_differ_at_once() -> None:
    one = Run(clip=ClipByNorm(0.1), reg=L1(1e-4), optim=SGD())
    two = Run(
        clip=ClipByNorm(3.0), reg=L1(1e-2), optim=SGD(momentum=0.9), init=He(), seed=7, lr=1.0, warmup=5,
        name="two", schedule=choices_in("schedule")["cosine"](),
    )  # fmt: skip
    assert structure(one) == structure(two)
    assert hash(structure(one)) == hash(structure(two))


def test_the_kind_of_clipping_penalty_and_optimizer_counts() -> None:
    assert structure(Run(clip=ClipByNorm())) != structure(Run(clip=ClipByValue()))
    assert structure(Run(reg=L1())) != structure(Run(reg=L2()))
    assert structure(Run(reg=Dropout())) != structure(Run())
    assert structure(Run(optim=Adam())) != structure(Run(optim=SGD()))
    assert structure(Run(optim=Adam())) != structure(Run(optim=Adam(beta1=0.8)))


def test_a_choice_that_must_not_vary_refuses_no_default() -> None:
    """What stands in a run's place has the default init, which every other choice allows."""
    assert structure(Run(init=Zeros())) == structure(Run())
