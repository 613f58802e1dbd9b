"""Overrides and the runs that they make."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest

from vanishgrad import Run, remedies
from vanishgrad.choices.activation import LeakyReLU, Sigmoid
from vanishgrad.choices.initialization import Gaussian, He, Normal
from vanishgrad.choices.model.recurrent import LSTM, RNN
from vanishgrad.choices.normalization import BatchNorm
from vanishgrad.choices.optimizer import SGD, Adam
from vanishgrad.choices.schedule import StepLR
from vanishgrad.cli.cure_table import composed
from vanishgrad.description import applied, changed, kept, overrides_of, remedied, rounded
from vanishgrad.errors import SettingError

TRIED = [one for one in remedies.CHOICES.values() if one.changes]
SICK = Run(depth=6, width=16, lr=0.3, act=Sigmoid(), init=Gaussian(0.8, 0.1), optim=SGD(0.5))
TYPED = ["depth=6", "width=16", "lr=0.3", "act=sigmoid", "init=gaussian", "init.sigma_w=0.8",
         "init.sigma_b=0.1", "optim=sgd", "optim.momentum=0.5"]  # fmt: skip


def test_the_setting_of_these_tests_is_what_is_typed() -> None:
    setting = composed(TYPED)
    assert setting is not None
    assert setting.effective == SICK


@pytest.mark.parametrize("remedy", TRIED, ids=lambda one: one.name)
def test_what_is_typed_for_a_remedy_makes_the_treated_run_here_and_through_hydra(
    remedy: remedies.Remedy,
) -> None:
    sick, typed = SICK, TYPED
    if isinstance(remedy, remedies.UseLSTM | remedies.UseGRU):
        sick, typed = replace(SICK, model=RNN()), [*TYPED, "model=rnn"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # sigmoid's critical point is saturated
        after = rounded(sick, remedied(sick, remedy))
        overrides = overrides_of(sick, changed(sick, after))
        assert applied(sick, " ".join(overrides)) == after
        setting = composed([*kept(typed, overrides), *overrides])
    assert setting is not None
    assert setting.effective == after


TEXTS = {
    "act=leaky_relu": {"act": LeakyReLU()},
    "act=leaky_relu act.slope=0.2": {"act": LeakyReLU(0.2)},
    "init=normal init.std=1": {"init": Normal(1.0)},
    "init.sigma_w=2": {"init": Gaussian(2.0, 0.1)},
    "lr=1e-3": {"lr": 0.001},
    "lr=1": {"lr": 1.0},
    "optim=adam lr=null": {"optim": Adam(), "lr": None},
    "schedule=step schedule.milestones=[0.5,0.9]": {"schedule": StepLR(milestones=(0.5, 0.9))},
    "warmup=10": {"warmup": 10},
    "remedy=leaky_relu remedy.slope=0.2": {"act": LeakyReLU(0.2)},
    "remedy=batchnorm init=he": {"norm": BatchNorm(), "init": He()},
    "remedy=small_rate": {"lr": 0.03},
}


@pytest.mark.parametrize("text", TEXTS)
def test_overrides_change_what_they_name(text: str) -> None:
    assert changed(SICK, rounded(SICK, applied(SICK, text))) == TEXTS[text]


def test_a_remedy_comes_after_all_else() -> None:
    assert applied(SICK, "remedy=small_rate lr=0.5").lr == 0.05


@pytest.mark.parametrize("text", ["act=sigmoyd", "act.slope=1", "detph=3", "lr=-1", "remedy=nothing", "relu"])
def test_what_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(SettingError):
        applied(SICK, text)


def test_a_choice_that_is_replaced_goes_with_its_parameters() -> None:
    typed = ["depth=20", "init=normal", "init.std=1", "act=leaky_relu", "act.slope=0.1", "lr=0.3"]
    assert kept(typed, ["init=he"]) == ["depth=20", "act=leaky_relu", "act.slope=0.1", "lr=0.3"]
    assert kept(typed, ["act.slope=0.2", "lr=0.1"]) == [
        "depth=20",
        "init=normal",
        "init.std=1",
        "act=leaky_relu",
    ]
    assert kept(typed, []) == typed


def test_of_the_same_choice_only_what_changes_is_typed() -> None:
    before = Run(init=Gaussian(0.8, 0.1))
    assert overrides_of(before, {"init": Gaussian(0.8, 0.0)}) == ("init.sigma_b=0.0",)
    assert overrides_of(before, {"init": Normal(0.5)}) == ("init=normal", "init.std=0.5")


def test_a_gated_cell_brings_its_own_activation_and_a_rate_can_be_typed() -> None:
    sick = replace(SICK, model=RNN())
    assert overrides_of(sick, changed(sick, remedied(sick, remedies.UseLSTM(2.0)))) == (
        "model=lstm", "model.forget_bias=2.0", "act=tanh",
    )  # fmt: skip
    assert remedied(sick, remedies.UseLSTM()).model == LSTM()
    tenth = remedied(Run(), remedies.SmallRate())
    assert tenth.lr == 0.1 * 0.1 != 0.01
    assert overrides_of(Run(), changed(Run(), rounded(Run(), tenth))) == ("lr=0.01",)
