"""A run as plain data, and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vanishgrad import Run
from vanishgrad.choices.activation import LeakyReLU
from vanishgrad.choices.data import MNIST, Adding, CopyMemory
from vanishgrad.choices.loss import MSE
from vanishgrad.choices.model.recurrent import LSTM
from vanishgrad.choices.optimizer import Adam
from vanishgrad.choices.schedule import StepLR
from vanishgrad.description import choices_in, describe, described
from vanishgrad.errors import SettingError
from vanishgrad.records import strict
from vanishgrad.run import GROUPS

CONF = Path(__file__).parents[1] / "conf"
RUNS = [
    Run(),
    Run(depth=3, lr=0.2, act=LeakyReLU(0.2), loss=MSE(), schedule=StepLR(), name="x", batch_size="full"),
    Run(model=LSTM(chrono=50), data=CopyMemory(length=7), optim=Adam()),
    Run(data=MNIST(root="somewhere", sequence="rows")),
]


@pytest.mark.parametrize("run", RUNS, ids=repr)
def test_a_description_that_went_through_json_is_the_run_with_its_rate_and_loss(run: Run) -> None:
    back = described(json.loads(json.dumps(strict(describe(run)))))
    assert describe(back) == describe(run)
    assert back.criterion == run.criterion
    assert (back.rate, back.data, back.model, back.act) == (run.rate, run.data, run.model, run.act)


def test_a_field_of_a_newer_version_has_its_default() -> None:
    record = describe(Run(model=LSTM(), data=Adding()))
    del record["pretrain"], record["dead_every"], record["model"]["chrono"]
    assert describe(described(record)) == describe(Run(model=LSTM(), data=Adding()))


def test_a_choice_that_does_not_exist_is_named() -> None:
    with pytest.raises(SettingError, match="act=swish"):
        described(describe(Run()) | {"act": {"name": "swish"}})


@pytest.mark.parametrize("group", GROUPS)
def test_the_choices_of_a_group_are_those_that_have_a_config_file(group: str) -> None:
    assert set(choices_in(group)) == {file.stem for file in (CONF / group).glob("*.yaml")}
