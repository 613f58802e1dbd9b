"""Every remedy that is advised can be typed, and changes something."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from vanishgrad.config.plan import jobs_of, plan_of, without_hydra
from vanishgrad.config.setting import to_setting
from vanishgrad.description import answers, describe, fitting_remedies
from vanishgrad.diagnosis import Advice
from vanishgrad.diagnosis import advice as module
from vanishgrad.diagnosis.advice import advised
from vanishgrad.diagnosis.record import RecordedSetting
from vanishgrad.remedies import TABLE, Remedy

LADDERS = {
    name: ladder for name, ladder in vars(module).items() if isinstance(ladder, dict) and name.isupper()
}
PERCEPTRONS = [
    " ".join(parts).split()
    for parts in product(
        ("model=mlp depth=8", "model=cnn depth=6 width=8", "depth=1", "depth=60"),
        ("act=relu", "act=sigmoid", "act=tanh", "act=softplus", "act=gelu"),
        ("", "norm=batch", "residual=identity", "init=he", "init=normal", "init=zeros",
         "optim=adam clip=norm", "reg=l2"),
    )
]  # fmt: skip
OTHERS = [
    text.split()
    for text in (
        "model=rnn data=adding", "model=lstm data=adding optim=adam", "model=gru data=copy",
        "model=rnn model.recurrent_init=orthogonal data=adding norm=layer", "model=lstm data=text",
        "model=conv_lstm data=moving_digits",
        "pretrain=rbm act=sigmoid data.scale=unit", "pretrain=autoencoder act=tanh", "norm=weight depth=6",
        "batch_size=1 depth=6", "batch_size=full", "width=1 depth=5", "residual=fixup depth=7",
        "data=spirals",
        "model=lstm model.chrono=50 data=temporal_order", "init=critical act=tanh",
        "norm=instance model=cnn",
    )
]  # fmt: skip


def composed(overrides: list[str]) -> RecordedSetting:
    """The setting as its run folder has it."""
    (job,) = jobs_of(plan_of(overrides, multirun=False))
    run = to_setting(without_hydra(job)).effective
    return RecordedSetting(describe(run), answers(run), fitting_remedies(run))


# A composition takes a tenth of a second: without `slow`, a few of every kind.
FEW = [*OTHERS[::4], *PERCEPTRONS[3::60]]


@pytest.fixture(scope="module")
def settings() -> dict[tuple[str, ...], RecordedSetting]:
    return {tuple(overrides): composed(overrides) for overrides in FEW}


@pytest.mark.slow
def test_every_override_that_is_advised_composes_and_changes_every_kind_of_setting() -> None:
    all_ = {tuple(overrides): composed(overrides) for overrides in OTHERS + PERCEPTRONS[3::19]}
    assert composing(all_, lambda name: name) > 60


def test_every_override_that_is_advised_composes_and_changes_the_setting(
    settings: dict[tuple[str, ...], RecordedSetting],
) -> None:
    assert composing(settings, lambda name: "any") > 20


def composing(settings: dict[tuple[str, ...], RecordedSetting], kind: Callable[[str], str]) -> int:
    """Try each text that is advised, once for every kind of model."""
    seen = set()
    for overrides, effective in settings.items():
        for one in (one for ladder in LADDERS.values() for one in advised(ladder, effective)):
            known = (kind(effective.value("model")), one.override)
            if known not in seen:
                seen.add(known)
                after = composed(treated(overrides, one.override))
                assert after.plain != effective.plain, (overrides, one.override)
    return len(seen)


def treated(overrides: tuple[str, ...], new: str) -> list[str]:
    """What was typed, without the keys that are typed anew and the parameters of theirs."""
    keys = {text.partition("=")[0] for text in new.split()}
    kept = [text for text in overrides if text.partition("=")[0] not in keys]
    return [text for text in kept if text.partition(".")[0] not in keys] + new.split()


@pytest.mark.parametrize("name", LADDERS)
def test_every_ladder_has_something_for_every_kind_of_model(
    name: str, settings: dict[tuple[str, ...], RecordedSetting]
) -> None:
    in_time = name.endswith("IN_TIME")
    for overrides, effective in settings.items():
        recurrent = any("model=rnn" in text or "model=gru" in text for text in overrides)
        if recurrent if in_time else "depth=8" in overrides and "act=sigmoid" in overrides:
            assert advised(LADDERS[name], effective), (name, overrides)
    foreign = advised(LADDERS[name], RecordedSetting({"model": {"name": "Net"}}))
    assert foreign
    assert all("remedy=" not in one.override for one in foreign)
    assert advised(LADDERS[name], RecordedSetting()) == foreign


def test_what_is_there_already_is_not_advised() -> None:
    treated = composed(
        ["depth=8", "act=relu", "init=he", "norm=batch", "residual=identity", "optim=adam", "clip=norm"]
    )
    for ladder in LADDERS.values():
        texts = [one.override for one in advised(ladder, treated)]
        assert not {
            "remedy=batchnorm",
            "remedy=he",
            "remedy=residual",
            "remedy=adam",
            "remedy=clipping",
        } & set(texts)


def test_the_rate_is_that_of_the_setting() -> None:
    found = advised(module.OSCILLATING, composed(["lr=0.3"]))
    assert found[0] == Advice("lr=0.03", "the steps are longer than the valley is wide")


def test_every_name_in_a_ladder_is_a_remedy_and_every_remedy_that_is_only_advised_is_in_one() -> None:
    named = {name for ladder in LADDERS.values() for name in ladder}
    assert named <= TABLE.keys()
    assert {name for name, one in TABLE.items() if one.tried is None} <= named
    assert all(one.reason for one in TABLE.values() if one.changes)
    published = [one for one in TABLE.values() if isinstance(one, Remedy) and one.changes]
    assert [one.name for one in published if not one.source] == ["small_rate"]


def test_a_setting_that_was_not_asked_what_fits_it_gets_the_words_of_pytorch() -> None:
    asked = composed(["depth=8", "act=sigmoid"])
    told = advised(module.VANISHING, RecordedSetting(asked.plain, asked.answers))
    assert told == advised(module.VANISHING, RecordedSetting())
    assert told[0].override.startswith("nn.BatchNorm1d")
    assert advised(module.VANISHING, asked)[0] == Advice("remedy=batchnorm", told[0].reason)
