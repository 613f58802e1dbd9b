"""`vanishgrad cure`."""

from __future__ import annotations

import csv
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from vanishgrad import Run
from vanishgrad.choices.activation import Sigmoid
from vanishgrad.choices.initialization import Gaussian
from vanishgrad.cli.cure import Asked, CureOptions, _apply, cure_options
from vanishgrad.cli.cure_table import Document, composed, shortest
from vanishgrad.cli.jobs import checked_setting
from vanishgrad.config.plan import plan_of
from vanishgrad.cures.candidates import candidates, treatment
from vanishgrad.cures.ranking import COLUMNS
from vanishgrad.cures.search import trial_steps
from vanishgrad.description import applied
from vanishgrad.diagnosis import Advice, Diagnosis, Finding
from vanishgrad.errors import SettingError
from vanishgrad.sweeps import sweep as sweeps
from vanishgrad.sweeps.pool import Workers

Vanishgrad = Callable[..., Any]

FAILING = ("depth=10", "act=sigmoid", "width=16", "max_steps=60", "data.train_size=640", "cure.seeds=1")


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vanishgrad.cli.cure.Workers", lambda: Workers(1))


def only(folder: Path) -> Path:
    (found,) = folder.iterdir()
    return found


REFUSED = {
    "cure.budgte=3": "there is no option cure.budgte; valid are cure.budget",
    "cure.budget=0": "cure.budget=0: must be an integer of at least 1",
    "cure.seeds=two": "cure.seeds=two: must be an integer of at least 1",
    "cure.pairs=maybe": "cure.pairs=maybe: must be true or false",
    "apply=1": "apply=1: must be true or false",
    "format=xml": "format=xml: choose one of text, json",
    "out=": "out=: has no value",
    "remedy=relu": "remedy=relu: cure tries the remedies itself; leave it out",
    "sweep.max_stack=3": "sweep.max_stack=3: is for vanishgrad train -m",
    "-m seed=0,1": "-m: cure looks at one setting",
    "seed=0,1": "several values are a sweep; cure looks at one setting",
    "experiment=dead_relu_rate": "experiment=dead_relu_rate: is a sweep, cure looks at one setting",
    "--cfg job": "is for vanishgrad train",
    "detph=3": "did you mean depth?",
    "act=sigmoyd": "did you mean sigmoid?",
    "epochs=0": "epochs=0: a setting that is not trained has nothing to cure",
    "norm=batch batch_size=1": "norm=batch with batch_size=1",
}


@pytest.mark.parametrize("typed", REFUSED)
def test_a_wrong_input_gets_one_message_and_leaves_nothing(
    vanishgrad: Vanishgrad, tmp_path: Path, typed: str
) -> None:
    done = vanishgrad("cure", *typed.split())
    assert (done.status, done.out) == (2, "")
    assert REFUSED[typed] in done.error
    assert not list(tmp_path.iterdir())


def test_a_folder_with_something_in_it_is_not_taken(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("dear diary")
    assert "out=mine: there is something in it" in vanishgrad("cure", "out=mine").error
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_options_are_told_from_the_setting() -> None:
    options, setting = cure_options(
        ["depth=3", "cure.seeds=5", "act=relu", "cure.budget=70", "cure.pairs=false"]
    )
    assert setting == ["depth=3", "act=relu"]
    assert options == CureOptions(budget=70, seeds=5, pairs=False)
    assert [trial_steps(total, options.budget) for total in (50, 5000)] == [50, 70]
    assert [trial_steps(total, CureOptions().budget) for total in (50, 5000)] == [50, 1000]


def test_a_healthy_setting_is_said_to_be_healthy(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    done = vanishgrad("cure", "depth=2", "width=32", "epochs=6", "cure.seeds=2")
    assert (done.status, done.err) == (0, "")
    folder = only(tmp_path / "outputs")
    assert "healthy: nothing to cure" in done.out
    assert {path.name for path in folder.iterdir()} == {"0", "1", "cure.json", "sweep.json", "runs.jsonl"}
    found = json.loads((folder / "cure.json").read_text())
    assert (found["healthy"], found["cure"], found["treatments"]) == (True, None, [])


@pytest.mark.slow
def test_a_failing_setting_is_cured_and_the_cure_can_be_typed(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    done = vanishgrad("cure", *FAILING)
    assert (done.status, done.err) == (0, "")
    folder = only(tmp_path / "outputs")
    lines = done.out.splitlines()
    assert lines[0] == "untreated: 1 seed, 60 steps"
    assert lines[-1] == str(folder.relative_to(tmp_path))
    (command,) = [line.removeprefix("cure: ") for line in lines if line.startswith("cure: ")]
    found = json.loads((folder / "cure.json").read_text())
    assert command == found["cure"]["command"]
    first, untreated = found["treatments"][0], found["untreated"]
    assert first["accuracy_mean"] > 0.5 > 0.3 > untreated["accuracy_mean"]
    again = vanishgrad(*shlex.split(command)[1:], f"hydra.run.dir={tmp_path}/again")
    assert again.status == 0
    record = json.loads((tmp_path / "again" / "run.json").read_text())
    alone = record["metrics"]["final"]["val_accuracy"]
    assert alone == pytest.approx(first["accuracy_mean"], abs=0.01)  # a stack is equal to rounding, at first
    with open(folder / "cure.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == COLUMNS
    assert [row["overrides"] for row in table] == [*(one["overrides"] for one in found["treatments"]), ""]
    assert {row["round"] for row in table} == {"1", "2", "3"}
    assert (folder / "report" / "index.html").exists()
    assert vanishgrad("report", f"runs={folder}", f"out={tmp_path}/all").status == 0


@pytest.mark.slow
def test_json_is_one_document_and_nothing_else(vanishgrad: Vanishgrad, tmp_path: Path) -> None:
    done = vanishgrad(
        "cure", *FAILING, "format=json", "cure.pairs=false", "cure.budget=20", "out=mine", "apply=true"
    )
    assert done.status == 0, done.err
    found = json.loads(done.out, parse_constant=lambda name: pytest.fail(name))
    assert found == json.loads((tmp_path / "mine" / "cure.json").read_text())
    assert found["treatments"][0]["steps"] == 20
    assert [line.split(":")[0] for line in done.err.splitlines()] == [
        "untreated",
        "round 1 of 2",
        "round 2 of 2",
    ]
    if found["cure"] is not None:
        assert found["applied"]["steps"] == 60
        assert (tmp_path / "mine" / "applied" / "checkpoint.pt").exists()


@pytest.mark.parametrize(
    "error, told", [(SettingError("lr=3: no"), None), (ValueError("odd"), "ValueError: odd")]
)
def test_a_refusal_of_what_is_applied_is_a_refusal_and_a_failure_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, told: str | None
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("vanishgrad.cli.cure.train", refuse)
    setting = checked_setting(plan_of(["depth=2"], False).config)
    asked = Asked(["depth=2"], [], [], setting, cure_options([])[0])
    answer = cast(Document, SimpleNamespace(winner=["depth=2", "act=relu"]))
    if told is None:
        with pytest.raises(SettingError, match="lr=3"):
            _apply(asked, answer, tmp_path, Console())
    else:
        assert _apply(asked, answer, tmp_path, Console()) == (answer, [f"{tmp_path / 'applied'}: {told}"])


def test_the_command_replaces_what_was_typed() -> None:
    typed = ["depth=6", "act=sigmoid", "init=gaussian", "init.sigma_w=0.8", "lr=0.3"]
    sick = Run(depth=6, act=Sigmoid(), init=Gaussian(0.8), lr=0.3)
    forms = {
        "act=relu": "depth=6 init=gaussian init.sigma_w=0.8 lr=0.3 act=relu",
        "init=he": "depth=6 act=sigmoid lr=0.3 init=he",
        "remedy=adam": "depth=6 act=sigmoid init=gaussian init.sigma_w=0.8 optim=adam",
        "remedy=batchnorm remedy.position=post": "depth=6 act=sigmoid init=gaussian init.sigma_w=0.8 lr=0.3 "
        "norm=batch norm.position=post",
    }
    for text, expected in forms.items():
        assert " ".join(shortest(typed, sick, treatment(sick, applied(sick, text)))) == expected


def test_where_an_experiment_gets_in_the_way_a_remedy_is_typed() -> None:
    """Its file gives numbers to the initialization, which another one does not have."""
    typed = ["experiment=dead_relu_init", "hydra.mode=RUN"]
    setting = composed(typed)
    assert setting is not None
    sick = setting.effective
    found = shortest(typed, sick, treatment(sick, applied(sick, "init=he")))
    assert found == [*typed, "remedy=he"]
    pair = candidates(sick, _advice("init=he", "norm=batch"), lambda run: None, 10).pairs[0]
    found = shortest(typed, sick, pair)
    assert found == [*typed, "norm=batch", "remedy=he"]
    again = composed(found)
    assert again is not None
    assert again.effective == pair.run


def _advice(*overrides: str) -> Diagnosis:
    advice = tuple(Advice(text, "") for text in overrides)
    return Diagnosis((Finding("vanishing", 1.0, 1.0, (1,), 0, {}, advice),), False)


SETTINGS = {
    "mlp": ["depth=6", "act=sigmoid", "lr=0.3"],
    "rnn": ["model=rnn", "act=relu", "data=adding", "data.length=10", "data.train_size=64"],
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:init=critical")
@pytest.mark.parametrize("name", SETTINGS)
def test_all_that_is_tried_can_be_typed(name: str) -> None:
    setting = composed(SETTINGS[name])
    assert setting is not None
    sick = setting.effective
    found = candidates(sick, _advice("init=xavier", "lr=0.02", "remedy=clipping"), lambda run: None, 3)
    assert len(found.pairs) >= 2
    for one in found.all:
        again = composed(shortest(SETTINGS[name], sick, one))
        assert again is not None
        assert again.effective == one.run, one.label


def test_help_says_how_it_is_used(vanishgrad: Vanishgrad) -> None:
    done = vanishgrad("cure", "--help")
    assert done.status == 0
    assert done.out.startswith("usage: vanishgrad cure ")
    assert "cure.budget" in done.out


def test_a_cure_that_was_stopped_names_the_command_that_goes_on(
    vanishgrad: Vanishgrad, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[int] = []
    train_group = sweeps.train_group

    def stop(*arguments: Any) -> None:
        stopped.append(1)
        if len(stopped) == 3:
            raise KeyboardInterrupt
        train_group(*arguments)

    monkeypatch.setattr(sweeps, "train_group", stop)
    typed = ("depth=4", "act=sigmoid", "width=4", "max_steps=10", "data.train_size=160", "name='a b'")
    first = vanishgrad("cure", *typed, "cure.seeds=1", "cure.pairs=false", "report=false", "out=my cure")
    assert first.status == 130
    line = first.err.splitlines()[-1]
    assert line.startswith("interrupted; what was tried so far is in my cure; go on with: vanishgrad cure ")
    again = shlex.split(line.partition("go on with: ")[2])
    assert again == ["vanishgrad", "cure", "resume=my cure"]
    refused = vanishgrad(*again[1:], "depth=3")
    assert refused.error == ("resume=my cure: goes on with what the cure was begun with; leave out depth=3")
    refused = vanishgrad("cure", "depth=3", "out=my cure")
    assert "or go on with vanishgrad cure 'resume=my cure'" in refused.error
    second = vanishgrad(*again[1:], "format=json")
    assert second.status == 0
    answer = json.loads(second.out)
    assert answer["overrides"] == list(typed)
    assert answer["treatments"]
    assert answer["untreated"]["seeds"] == 1
    assert (tmp_path / "my cure/cure.csv").exists()
    assert not (tmp_path / "my cure/report").exists()


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("resume=", "resume=: must be the folder of a cure"),
        ("resume=nowhere", "resume=nowhere: there is no such folder"),
        ("resume=.", "resume=.: has no sweep.json; must be the folder of a sweep"),
    ],
)
def test_what_is_no_cure_cannot_go_on(vanishgrad: Vanishgrad, typed: str, message: str) -> None:
    done = vanishgrad("cure", typed)
    assert (done.status, done.out, done.error) == (2, "", message)
