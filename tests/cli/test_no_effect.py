"""What is typed has an effect, is refused, or a note says why it has none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SMALL = ("depth=1", "width=2", "data.train_size=64")
REFUSED = {
    "train sweep.max_stack=4": "sweep.max_stack=4: is for a sweep; add -m",
    "train sweep.fail_fast=true": "sweep.fail_fast=true: is for a sweep; add -m",
    "train -v": "-v: is for a sweep; add -m",
    "train -m sweep.max_stack=1 sweep.max_stack=2": "sweep.max_stack is given twice",
    "train -m sweep.max_stak=1": "(did you mean sweep.max_stack?)",
    f"train -m sweep.max_stack={'9' * 5000}": "must be an integer of at least 1",
    "train --foo depth=3 act=relu": "--foo: there is no such flag",
    "train depth=3 --multrun act=relu": "(did you mean --multirun?)",
    "train -m=3": "-m has no value; write -m",
    "train --depth=3": "settings are written without dashes: depth=3",
    "train --cfg job --cfg hydra": "--cfg: is given twice",
    "train --config-dir nowhere act=mine": "--config-dir nowhere: there is no such folder",
    "options --config-dir nowhere": "--config-dir nowhere: there is no such folder",
    "train --cfg job overwrite=true": "overwrite=true: is no part of the setting that is shown",
    "train --cfg job sweep.max_stack=2": "sweep.max_stack=2: is no part of the setting that is shown",
    "train --package x": "--package: is for --cfg job",
    "train --resolve": "--resolve: is for --cfg job",
    "theory seed=1,2": "seed=1,2: several values are a sweep; vanishgrad theory predicts one setting",
    "theory hydra.run.dir=x": "hydra.run.dir=x: vanishgrad theory makes no run",
    "theory sweep.max_stack=2": "sweep.max_stack=2: vanishgrad theory makes no run",
    "cure out=x hydra.run.dir=y": "hydra.run.dir=y out=x: are two folders",
    "cure hydra.launcher.n_jobs=2": "is for a sweep; cure looks at one setting",
    f"cure cure.seeds={'9' * 5000}": "must be an integer of at least 1",
    "sample run=x seed=1.5": "seed=1.5: must be an integer",
    "train device=null": "device=null: choose one of auto, cpu, cuda, mps",
    "train measure={a:1}": "measure={a: 1}: choose one of all, gradients",
    "train stop_on=[any]": "choose one of vanishing, exploding",
    "train norm=batch norm.position=null": "norm.position=null: choose one of pre, post",
    "train data.sequence=[rows]": "choose one of rows, pixels, null",
    "train batch_size=null": "batch_size=null: must be an integer or full",
    "lab chapter=99": "chapter=99: choose one of learning",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_what_would_have_no_effect_is_refused(
    typed: str, vanishgrad: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vanishgrad.sweeps.processes.warm", lambda: None)
    done = vanishgrad(*typed.split(" "))
    assert done.status == 2
    assert REFUSED[typed] in done.error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "typed, note",
    [
        (
            "max_steps=500 epochs=1",
            "max_steps=500: epochs=1 ends training before, at step 1; it takes epochs=500",
        ),
        ("max_steps=1 epochs=3", "epochs=3: max_steps=1 ends training before, in epoch 2"),
        ("max_steps=1 objective=val_loss", "objective=val_loss: has no effect; it is what a search looks at"),
        ("max_steps=1", ""),
        ("epochs=1", ""),
        ("max_steps=2 epochs=2", ""),
    ],
)
def test_a_note_says_which_of_two_ends_a_run(typed: str, note: str, vanishgrad: Callable[..., Any]) -> None:
    done = vanishgrad("train", *SMALL, *typed.split(" "))
    assert done.status == 0
    assert [line for line in done.err.splitlines() if note in line or not note] == done.err.splitlines()[:1]
    assert bool(note) == bool(done.err)


def test_a_name_and_a_folder_need_no_quotes(vanishgrad: Callable[..., Any], tmp_path: Path) -> None:
    assert (
        vanishgrad("train", *SMALL, "max_steps=0", "name=größe=007 (a)", "hydra.run.dir=lauf ü").status == 0
    )
    record = json.loads((tmp_path / "lauf ü" / "run.json").read_text())
    assert record["choices"]["name"] == "größe=007 (a)"


def test_a_sweep_over_a_glob_trains_every_choice_that_fits(
    vanishgrad: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vanishgrad.sweeps.processes.warm", lambda: None)
    done = vanishgrad(
        "train", "-m", *SMALL, "max_steps=0", "act=glob(s*,exclude=so*)", "hydra.launcher.n_jobs=1",
        "hydra.sweep.dir=all",
    )  # fmt: skip
    assert done.status == 0
    found = [json.loads(file.read_text())["choices"]["act"]["name"] for file in tmp_path.rglob("run.json")]
    assert sorted(found) == ["selu", "sigmoid", "silu"]
