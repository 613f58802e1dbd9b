"""Whatever is typed ends with a complete run folder or with one clear message."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vanishgrad.config.catalogue import ChoiceGroup, groups

GROUPS = {group.name: group for group in groups() if group.name not in ("experiment", "data", "model")}
BASE = ("depth=2", "width=8", "max_steps=2", "log_every=1", "data.train_size=128")
NUMBERS = {
    "depth": ["0", "1", "3", "4", "-1", "2.5", "deep", "null", "true", "[1]", "'2'", "1e3"],
    "width": ["1", "4", "16", "0", "-3", "wide", "null", "${depth}", "${nothing}"],
    "max_steps": ["0", "1", "3", "-1", "some", "1.0"],
    "epochs": ["0", "1", "-1", "null"],
    "batch_size": ["1", "32", "full", "1000000", "0", "half", "1.5", "false"],
    "lr": ["null", "0.1", "1", "1e30", "1e-30", "0", "-0.1", "nan", "inf", "fast", "[0.1]"],
    "warmup": ["0", "2", "-1"],
    "seed": ["1", "123456789012", "-1", "x"],
    "dtype": ["float64", "float32", "float16", "32"],
    "device": ["cpu", "auto", "gpu", "null"],
    "threads": ["1", "auto", "0", "many"],
    "log_every": ["1", "2", "0", "null"],
    "eval_every": ["1", "null", "0"],
    "measure": ["all", "gradients", "none"],
    "recompute_every": ["0", "1", "-1"],
    "save_every": ["0", "1"],
    "snapshots": ["0", "2", "-2"],
    "name": ["a", "'two words'", "7", "null", "true", "[a]"],
    "data": ["digits", "spirals", "mnist data.root=nowhere", "mnits"],
    "data.scale": ["unit", "standard", "none"],
    "data.seed": ["1", "null", "one"],
    "model": ["mlp", "cnn", "null"],
}
NONSENSE = [
    "+foo=1", "++depth=3", "~act", "~depth", "sigmoid", "depth", "act=", "=3", "depth=3=4", "act=relu)",
    "name=[a", "name='", "act@norm=relu", "act/relu=1", "norm=null", "act={slope: 1}",
    "act=[relu]",
    "act.slope", "actt=relu", "act.nothing=1", "act._target_=os.system", "norm.position.x=1", "depth.x=1",
    "experiment=nothing", "depth=???", "act=relu,tanh", "seed=range(3)", "hydra/launcher=nothing",
    "hydra.nothing=1", "loss=nul", "--depth=3", "schedule.milestones=0.5", "depth=" + "9" * 5000,
    "lr=" + "1" * 400,
]  # fmt: skip


def some_value(chance: random.Random, default: Any) -> str:
    """A value for a parameter: its default, something of its kind, or something else."""
    near = [
        json.dumps(default),
        "0.5",
        "1",
        "2",
        "0",
        "-1",
        "pre",
        "post",
        "normal",
        "uniform",
        "null",
        "1e30",
        "x",
    ]
    return chance.choice(near)


def some_choice(chance: random.Random, group: ChoiceGroup) -> list[str]:
    """A choice of a group, at times mistyped, at times with a parameter of its own or of another choice."""
    choice = chance.choice(group.choices)
    name = choice.name if chance.random() < 0.9 else choice.name[::-1]
    owner = choice if chance.random() < 0.8 else chance.choice(group.choices)
    typed = [
        f"{item.key}={some_value(chance, item.default)}" for item in owner.parameters if chance.random() < 0.4
    ]
    return [f"{group.name}={name}", *typed]


def some_overrides(chance: random.Random) -> list[str]:
    """A command line on top of `BASE`."""
    typed = [word for name in chance.sample(sorted(GROUPS), 3) for word in some_choice(chance, GROUPS[name])]
    if chance.random() < 0.5:
        key = chance.choice(sorted(NUMBERS))
        typed += f"{key}={chance.choice(NUMBERS[key])}".split(" ")
    if chance.random() < 0.15:
        typed.append(chance.choice(NONSENSE))
    return [*BASE, *typed]


def check_run_folder(folder: Path) -> None:
    """A finished run, with a row of its last step in both tables."""
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] in ("completed", "diverged")
    for file in ("gradients.csv", "metrics.csv"):
        rows = list(csv.DictReader((folder / file).read_text().splitlines()))
        assert int(rows[-1]["step"]) == record["steps"]


@pytest.mark.parametrize("number", range(200))
def test_every_command_line_ends_with_a_run_folder_or_one_message(
    number: int, vanishgrad: Callable[..., Any], tmp_path: Path
) -> None:
    typed = some_overrides(random.Random(number))
    done = vanishgrad("train", *typed)
    if done.status == 0:
        (folder,) = (tmp_path / "outputs").iterdir()
        check_run_folder(folder)
    else:
        assert done.status == 2
        assert done.error
        assert not list(tmp_path.iterdir())


def test_the_random_command_lines_are_of_both_kinds(vanishgrad: Callable[..., Any]) -> None:
    statuses = [vanishgrad("train", *some_overrides(random.Random(number))).status for number in range(40)]
    assert {0, 2} == set(statuses)


@pytest.mark.parametrize("word", NONSENSE)
def test_nonsense_is_refused(word: str, vanishgrad: Callable[..., Any], tmp_path: Path) -> None:
    done = vanishgrad("train", *BASE, word)
    assert done.status == 2
    assert done.error
    assert not list(tmp_path.iterdir())
