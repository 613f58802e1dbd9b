"""Labels say what varied between runs, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from vanishgrad.records import flatten
from vanishgrad.report.labels import run_labels, typed_value, varied_keys


def setting(**changed: Any) -> dict[str, Any]:
    choices: dict[str, Any] = {
        "depth": 5,
        "lr": 0.1,
        "seed": 0,
        "name": None,
        "act": {"name": "relu"},
        "norm": {"name": "none", "position": "pre"},
        "remedy": {"name": "none"},
        "loss": None,
    }
    return choices | changed


LEAKY = {"name": "leaky_relu", "slope": 0.01}


def test_choices_and_their_parameters_become_flat_keys() -> None:
    flat = flatten({"depth": 20, "act": LEAKY, "loss": None})
    assert flat == {"depth": 20, "act": "leaky_relu", "act.slope": 0.01, "loss": None}


@pytest.mark.parametrize(
    "changes, labels",
    [
        ([{"act": {"name": "sigmoid"}}, {}], ["act=sigmoid", "act=relu"]),
        ([{"depth": 20}, {"depth": 5}], ["depth=20", "depth=5"]),
        ([{"lr": 0.1}, {"lr": 1e-5}], ["lr=0.1", "lr=1e-05"]),
        ([{"seed": 0}, {"seed": 1}], ["depth=5 act=relu", "depth=5 act=relu"]),
        ([{"name": "mine"}, {"name": "yours"}], ["depth=5 act=relu", "depth=5 act=relu"]),
        ([{"remedy": {"name": "batchnorm"}}, {}], ["remedy=batchnorm", "remedy=none"]),
        ([{"loss": {"name": "mse"}}, {}], ["loss=mse", "loss=null"]),
        (
            [{"norm": {"name": "batch", "position": "post"}}, {"norm": {"name": "batch", "position": "pre"}}],
            ["norm.position=post", "norm.position=pre"],
        ),
        (
            [{"depth": 20, "act": {"name": "sigmoid"}}, {}],
            ["act=sigmoid depth=20", "act=relu depth=5"],
        ),
        # A parameter that only one choice has does not vary by itself.
        ([{"act": LEAKY}, {}], ["act=leaky_relu", "act=relu"]),
        (
            [{"act": LEAKY}, {"act": LEAKY | {"slope": 0.2}}, {}],
            ["act=leaky_relu act.slope=0.01", "act=leaky_relu act.slope=0.2", "act=relu"],
        ),
    ],
)
def test_labels_name_what_varied(changes: list[dict[str, Any]], labels: list[str]) -> None:
    assert run_labels([setting(**change) for change in changes]) == labels


def test_same_setting_has_the_same_label_whatever_the_seed() -> None:
    runs = [setting(seed=seed, act={"name": act}) for act in ("relu", "tanh") for seed in (0, 1)]
    assert run_labels(runs) == ["act=relu", "act=relu", "act=tanh", "act=tanh"]


def test_what_nobody_typed_and_follows_from_the_rest_is_left_out() -> None:
    runs = [setting(optim={"name": "sgd"}), setting(optim={"name": "adam"}, lr=0.001)]
    assert varied_keys(runs) == ("optim", "lr")
    assert varied_keys(runs, [["optim=sgd"], ["optim=adam"]]) == ("optim",)
    assert varied_keys(runs, [["optim=sgd"], ["optim=adam", "lr=0.001"]]) == ("optim", "lr")


def test_what_nobody_typed_but_tells_runs_apart_is_named() -> None:
    runs = [setting(lr=0.1), setting(lr=0.2), setting(act={"name": "tanh"})]
    assert varied_keys(runs, [["act=relu"], ["act=relu"], ["act=tanh"]]) == ("act", "lr")


def test_without_differences_the_name_is_the_label() -> None:
    assert run_labels([setting(seed=1), setting(seed=2)], names=["mine", None]) == [
        "mine",
        "depth=5 act=relu",
    ]


def test_the_summary_names_what_is_not_the_default() -> None:
    assert run_labels([setting(norm={"name": "batch"})]) == ["depth=5 act=relu norm=batch"]
    assert run_labels([{}]) == ["one setting"]


@pytest.mark.parametrize(
    "value, text", [(None, "null"), (True, "true"), (20, "20"), (0.5, "0.5"), (1e-10, "1e-10"), ("a", "a")]
)
def test_values_are_shown_as_they_are_typed(value: Any, text: str) -> None:
    assert typed_value(value) == text
