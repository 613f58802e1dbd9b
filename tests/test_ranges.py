"""Numbers that a run's format cannot hold, and counts beyond any machine, are refused when it is made."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
import torch

from vanishgrad import Run
from vanishgrad.choices.data import Spirals
from vanishgrad.choices.named import choices_of, protocols_of
from vanishgrad.choices.pretraining import Autoencoder
from vanishgrad.engine import check
from vanishgrad.errors import SettingError
from vanishgrad.run import GROUPS, representable


def parameters() -> Iterator[tuple[str, Any, str]]:
    """Every number with a point of every choice: group, choice, name."""
    for group, protocol in protocols_of(Run, GROUPS).items():
        for kind in choices_of(protocol).values():
            choice = kind()
            for item in fields(kind):
                if isinstance(getattr(choice, item.name), float):
                    yield group, choice, item.name


FLOATS = [pytest.param(*case, id=f"{case[0]}={case[1].name}.{case[2]}") for case in parameters()]


def refusal(group: str, choice: Any, name: str, value: float) -> str:
    """What is said of a choice with this number, or of a run with the choice."""
    try:
        changed = replace(choice, **{name: value})
        Run(**{group: changed}, **({"model": "rnn"} if group == "data" and choice.name == "adding" else {}))
    except SettingError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("group, choice, name", FLOATS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, -1e300])
def test_no_choice_takes_a_number_that_float32_cannot_hold(
    group: str, choice: Any, name: str, value: float
) -> None:
    assert refusal(group, choice, name, value)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_bounds_are_those_of_the_format(dtype: Any) -> None:
    kind = getattr(torch, dtype)
    largest = torch.finfo(kind).max
    smallest = torch.nextafter(torch.zeros((), dtype=kind), torch.ones((), dtype=kind)).item()
    for value in (largest, -largest, smallest, 0.0, math.nan, math.inf):
        representable("lr", value, dtype)
    if dtype == "float32":
        for value in (largest * (1 + 1e-6), smallest / 2, -smallest / 2):
            with pytest.raises(SettingError, match="dtype=float64"):
                representable("lr", value, dtype)
        representable("lr", smallest * 0.51, dtype)  # rounds to the smallest


def test_a_rate_says_what_is_wrong_with_it() -> None:
    with pytest.raises(
        SettingError, match=r"lr=1e\+300: is beyond the largest float32, 3.402823e\+38; use less"
    ):
        Run(lr=1e300)
    with pytest.raises(SettingError, match=r"lr=1e-60: is 0 in float32, the smallest is 1.4e-45; use more"):
        Run(lr=1e-60)
    assert Run(lr=1e300, dtype="float64").lr == 1e300


HUGE = {
    "max_steps": "must be at most 9223372036854775807", "epochs": "must be at most 9223372036854775807",
    "snapshots": "must be at most 10000", "threads": "must be at most 1024",
}  # fmt: skip


@pytest.mark.parametrize("key", HUGE)
def test_counts_beyond_any_machine_are_refused(key: str) -> None:
    with pytest.raises(SettingError, match=HUGE[key]):
        Run(**{key: 10**30})
    with pytest.raises(SettingError, match=r"data\.points"):
        Run(data=Spirals(points=10**30))


@pytest.mark.parametrize(
    "run, said",
    [
        (Run(epochs=10**15), r"34,881 years"),
        (
            Run(act="sigmoid", pretrain=Autoencoder(epochs=10**12)),
            r"^pretrain.epochs=1000000000000 epochs=20",
        ),
        (Run(input_gradients=10**9), r"input_gradients=1000000000: needs about .* GiB"),
        (Run(input_gradients=10**5), r"or input_gradients$"),
        (Run(width=10**9), r"width=1000000000 .* needs about"),
        (Run(depth=10**9), r"depth=1000000000 .* needs about"),
        (Run(batch_size=10**9), r"there are 1437 training examples"),
    ],
)
def test_more_than_a_machine_has_is_refused_before_work(run: Run, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        check(run)
