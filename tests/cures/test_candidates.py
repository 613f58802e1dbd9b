"""What is tried on a failing setting."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vanishgrad import Run
from vanishgrad.choices.activation import ReLU, Sigmoid, Tanh
from vanishgrad.choices.data import Adding
from vanishgrad.choices.model.recurrent import RNN
from vanishgrad.choices.normalization import BatchNorm
from vanishgrad.choices.pretraining import Autoencoder
from vanishgrad.cures.candidates import (
    Candidates,
    Treatment,
    best_of_each_kind,
    candidates,
    kinds_of,
    pairs,
    sensible,
    together,
    treatment,
)
from vanishgrad.description import applied, rounded
from vanishgrad.diagnosis import Advice, Diagnosis, Finding
from vanishgrad.errors import SettingError

SICK = Run(depth=20, act=Sigmoid())
RECURRENT = Run(model=RNN(), data=Adding(length=10))


def check(run: Run) -> None:
    """Every run can be trained here."""


def diagnosis(*overrides: str) -> Diagnosis:
    advice = tuple(Advice(text, f"because of {text}") for text in overrides)
    return Diagnosis((Finding("vanishing", 1.0, 1.0, (1,), 0, {}, advice),), False)


def made(run: Run, text: str) -> Treatment:
    return treatment(run, rounded(run, applied(run, text)))


def labels(found: Candidates) -> list[str]:
    return [one.label for one in found.alone]


def reasons(found: Candidates) -> dict[str, str]:
    return {one.label: one.reason for one in found.left_out}


def test_what_the_diagnosis_suggests_comes_first_with_its_reason_and_only_once() -> None:
    found = candidates(SICK, diagnosis("init=xavier", "remedy=batchnorm", "norm=batch"), check, 10)
    assert labels(found)[:2] == ["init=xavier", "norm=batch"]
    assert [one.reason for one in found.alone[:2]] == [
        "because of init=xavier",
        "because of remedy=batchnorm",
    ]
    assert [one.advised for one in found.alone[:3]] == [True, True, False]
    assert len({one.run for one in found.all}) == len(found.all)


def test_all_other_remedies_that_make_sense_follow() -> None:
    found = candidates(SICK, Diagnosis(), check, 10)
    assert set(labels(found)) == {
        "norm=batch", "optim=adam", "act=relu", "residual=identity", "init=he", "init=xavier", "norm=layer",
        "clip=norm", "lr=0.01", "residual=rezero", "act=tanh", "act=elu", "act=selu",
        "act=leaky_relu", "act=prelu", "optim=rmsprop", "optim=adagrad", "pretrain=autoencoder", "reg=l2",
        "reg=l1", "act=relu init=he", "act=selu init=lecun",
    }  # fmt: skip
    assert found.pairs == ()


def test_what_makes_no_sense_is_left_out_with_the_reason() -> None:
    sick = replace(SICK, batch_size=1)
    told = reasons(candidates(sick, Diagnosis(), check, 10))
    assert "takes the place of a recurrent cell" in told["remedy=lstm"]
    assert "one example has no variance" in told["remedy=batchnorm"]
    assert (
        reasons(candidates(Run(), Diagnosis(), check, 10))["remedy=relu"] == "is how the setting is already"
    )


def test_a_critical_point_that_saturates_is_left_out_every_time() -> None:
    for _ in range(2):  # what is known of an activation is kept
        found = candidates(SICK, Diagnosis(), check, 10)
        assert "init=critical" not in labels(found)
        assert "52% of its units saturated" in reasons(found)["remedy=critical"]
    assert "init=critical" in labels(candidates(replace(SICK, act=Tanh()), Diagnosis(), check, 10))


def test_what_this_machine_cannot_train_is_left_out() -> None:
    def small(run: Run) -> None:
        if isinstance(run.norm, BatchNorm):
            raise SettingError("no room")

    found = candidates(SICK, diagnosis("norm=batch", "act=relu", "init=he"), small, 10)
    assert reasons(found)["norm=batch"] == "no room"
    assert [one.label for one in found.pairs] == ["act=relu init=he"]


def test_advice_that_changes_what_is_learned_or_makes_no_sense_is_not_taken() -> None:
    found = candidates(SICK, diagnosis("epochs=100", "data=spirals", "act=nothing"), check, 10)
    assert not {"epochs=100", "data=spirals"} & set(labels(found))
    assert "choose one of" in reasons(found)["act=nothing"]
    assert reasons(found)["epochs=100"] == "changes epochs: treatments are compared on one and the same task"


def test_a_recurrent_network_has_remedies_of_its_own() -> None:
    found = candidates(RECURRENT, Diagnosis(), check, 10)
    assert {
        "model=lstm", "model=gru", "clip=norm", "optim=adam", "model.recurrent_init=orthogonal",
        "model.recurrent_init=identity act=relu", "norm=layer",
    } <= set(labels(found))  # fmt: skip
    assert not {"norm=batch", "residual=identity"} & set(labels(found))
    assert "shortcuts" in reasons(found)["remedy=residual"]


SENSIBLE = {
    ("act=relu", "init=he"), ("act=relu", "norm=batch"), ("init=he", "optim=adam"),
    ("norm=batch", "residual=identity"), ("clip=norm", "optim=adam"), ("residual=rezero", "lr=0.01"),
}  # fmt: skip
SENSELESS = {
    ("act=relu", "act=tanh"), ("init=he", "pretrain=autoencoder"), ("optim=adam", "lr=0.01"),
    ("norm=batch", "norm=layer"), ("act=relu", "reg=l1"), ("optim=adam", "optim=rmsprop"),
}  # fmt: skip


@pytest.mark.parametrize(("first", "second"), sorted(SENSIBLE | SENSELESS))
def test_a_pair_treats_two_different_things(first: str, second: str) -> None:
    found = sensible(SICK, made(SICK, first), made(SICK, second))
    assert found == ((first, second) in SENSIBLE)


def test_a_gated_cell_goes_with_clipping_but_not_with_another_activation() -> None:
    lstm, relu = made(RECURRENT, "remedy=lstm"), made(RECURRENT, "act=relu")
    assert sensible(RECURRENT, lstm, made(RECURRENT, "clip=norm"))
    assert not sensible(RECURRENT, lstm, relu)
    assert not sensible(RECURRENT, lstm, made(RECURRENT, "remedy=gru"))
    from_relu = replace(RECURRENT, act=ReLU())
    assert kinds_of(from_relu, made(from_relu, "remedy=lstm").run) == {"cell"}


def test_a_pair_is_both_changes_and_both_texts() -> None:
    pair = together(SICK, made(SICK, "act=relu"), made(SICK, "remedy=batchnorm"))
    assert pair.run == Run(depth=20, norm=BatchNorm())
    assert pair.label == "act=relu norm=batch"


def test_the_pairs_of_what_comes_first_come_first_and_no_more_than_asked_for() -> None:
    alone = [made(SICK, text) for text in ("norm=batch", "act=relu", "norm=layer", "init=he")]
    found = [one.label for one in pairs(SICK, alone, check, 10)]
    assert found == ["norm=batch act=relu", "norm=batch init=he", "act=relu norm=layer", "act=relu init=he",
                     "norm=layer init=he"]  # fmt: skip
    assert [one.label for one in pairs(SICK, alone, check, 2)] == found[:2]


def test_a_pair_that_is_refused_is_no_pair() -> None:
    sick = Run(act=Sigmoid())
    alone = [made(sick, "pretrain=autoencoder"), made(sick, "norm=batch"), made(sick, "act=relu")]
    assert alone[0].run.pretrain == Autoencoder()
    assert [one.label for one in pairs(sick, alone, check, 10)] == [
        "pretrain=autoencoder act=relu", "norm=batch act=relu",
    ]  # fmt: skip


def test_partners_are_the_best_of_each_kind_and_no_pairs() -> None:
    ranked = [made(SICK, text) for text in ("act=relu", "act=tanh", "norm=batch", "act=elu", "init=he")]
    pair = together(SICK, ranked[0], ranked[2])
    found = best_of_each_kind(SICK, [pair, *ranked], 2)
    assert [one.label for one in found] == ["act=relu", "act=tanh", "norm=batch", "init=he"]
