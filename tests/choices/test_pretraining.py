"""What a choice of pretraining refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vanishgrad.choices.pretraining import RBM, Autoencoder, DenoisingAutoencoder, NoPretraining
from vanishgrad.choices.protocol import Pretraining
from vanishgrad.errors import SettingError

EVERY = [NoPretraining, RBM, Autoencoder, DenoisingAutoencoder]


@pytest.mark.parametrize("choice", EVERY)
def test_numbers_that_make_no_sense_are_refused_by_name(choice: Callable[..., Pretraining]) -> None:
    with pytest.raises(SettingError, match=r"pretrain\.epochs=-1: must be at least 0"):
        choice(epochs=-1)
    for lr in (0.0, -0.1, float("nan"), float("inf")):
        with pytest.raises(SettingError, match=r"pretrain\.lr="):
            choice(lr=lr)


def test_no_epochs_are_a_choice_too() -> None:
    assert RBM(epochs=0).epochs == 0


def test_a_gibbs_chain_may_have_a_thousand_steps_and_no_more() -> None:
    assert RBM(k=1000).k == 1000
    with pytest.raises(SettingError, match=r"pretrain\.k=1001: must be"):
        RBM(k=1001)


def test_a_gibbs_chain_has_at_least_one_step() -> None:
    with pytest.raises(SettingError, match=r"pretrain\.k=0: must be at least 1"):
        RBM(k=0)


@pytest.mark.parametrize("corruption", [-0.1, 1.0, float("nan")])
def test_noise_must_leave_something(corruption: float) -> None:
    with pytest.raises(SettingError, match=r"pretrain\.corruption=.*below 1"):
        DenoisingAutoencoder(corruption=corruption)


@pytest.mark.parametrize("choice", EVERY[1:])
def test_only_what_is_asked_to_is_frozen(choice: Callable[..., Pretraining]) -> None:
    assert choice(freeze=True).freeze
    assert not choice().freeze


def test_without_pretraining_nothing_is_frozen() -> None:
    assert not NoPretraining().freeze
