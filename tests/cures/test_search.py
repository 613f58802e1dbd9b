"""The whole search, with trials whose outcome is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from vanishgrad import Run
from vanishgrad.choices.activation import Sigmoid
from vanishgrad.choices.data import load
from vanishgrad.cures import Cure, SearchPlan, Stage, Treatment, Trial, find_cure
from vanishgrad.cures.trial import Round, Yardstick
from vanishgrad.diagnosis import Advice, Diagnosis, Finding

MakeTrial = Callable[..., Trial]
SICK = Run(depth=20, act=Sigmoid())
SUGGESTED = (Advice("act=relu", "slope 1"), Advice("init=xavier", "keeps the variance"))
DATA = load(SICK.data)
VANISHING = Finding("vanishing", 1.0, 1.0, (1, 2), 0, {}, SUGGESTED)
FAILING = Diagnosis((VANISHING,), False)


@dataclass
class Clinic:
    """Trials in which each override adds to the accuracy; what was asked is kept."""

    trial: MakeTrial
    yard: Yardstick
    effects: dict[str, float]
    total: int = 400
    asked: list[tuple[int, list[str]]] = field(default_factory=list)

    def __call__(self, some: Sequence[Treatment], stage: Round) -> list[Trial]:
        self.asked.append((stage.steps, [one.label for one in some]))
        return [self.of(one) for one in some]

    def of(self, one: Treatment) -> Trial:
        end = min(0.99, 0.1 + sum(self.effects.get(text, 0.0) for text in one.overrides))
        return self.trial([0.1, end], [0.1, end])


def ones(untreated: Run, treated: Sequence[Run], total: int) -> list[float]:
    return [1.0 for _ in treated]


@pytest.fixture
def search(trial: MakeTrial, yard: Yardstick) -> Callable[..., tuple[Cure, Clinic, list[Stage]]]:
    def run(
        effects: dict[str, float], diagnosis: Diagnosis = FAILING, **options: Any
    ) -> tuple[Cure, Clinic, list[Stage]]:
        clinic, stages = Clinic(trial, yard, effects), list[Stage]()
        found = find_cure(
            SICK, clinic, SearchPlan(400, **options), lambda alone: diagnosis, lambda run: DATA,  # type: ignore[arg-type]
            stages.append, ones,
        )  # fmt: skip
        return found, clinic, stages

    return run


Search = Callable[..., tuple[Cure, Clinic, list[Stage]]]


def test_the_best_alone_is_found_whoever_suggests_it(search: Search) -> None:
    for override in ("act=relu", "norm=batch", "optim=rmsprop"):
        found, _, _ = search({override: 0.8})
        assert found.winner is not None
        assert found.winner.treatment.label == override


def test_a_pair_is_found_where_only_both_cure(search: Search) -> None:
    found, _, _ = search({"norm=batch": 0.3, "optim=adam": 0.2, "act=relu": 0.01})
    assert found.winner is not None
    assert set(found.winner.treatment.overrides) == {"norm=batch", "optim=adam"}


def test_a_suggested_pair_begins_in_the_first_round(search: Search) -> None:
    _, clinic, _ = search({})
    assert "act=relu init=xavier" in clinic.asked[1][1]


def test_without_pairs_none_is_tried(search: Search) -> None:
    found, clinic, _ = search({"norm=batch": 0.3, "optim=adam": 0.2}, pairs=False)
    assert not [label for _, some in clinic.asked for label in some if "norm=batch " in label]
    assert found.winner is not None
    assert found.winner.treatment.label == "norm=batch"


def test_the_untreated_setting_has_the_whole_budget_and_rounds_double_up_to_it(search: Search) -> None:
    _, clinic, stages = search({"act=relu": 0.5})
    assert clinic.asked[0] == (400, ["untreated"])
    assert [steps for steps, _ in clinic.asked[1:]] == [100, 200, 400]
    assert [(stage.number, stage.steps) for stage in stages] == [(0, 400), (1, 100), (2, 200), (3, 400)]
    assert [stage.treatments for stage in stages] == [len(some) for _, some in clinic.asked]


def test_every_treatment_has_one_standing(search: Search) -> None:
    found, clinic, _ = search({"act=relu": 0.5, "norm=batch": 0.4})
    tried = {label for _, some in clinic.asked[1:] for label in some}
    assert sorted(one.treatment.label for one in found.standings) == sorted(tried)
    assert {one.cost for one in found.standings if one.round == 3} == {1.0}
    assert {one.cost for one in found.standings if one.round < 3} == {None}


def test_the_runner_up_is_the_second_cure(search: Search) -> None:
    found, _, _ = search({"norm=batch": 0.5, "act=tanh": 0.4}, pairs=False)
    assert found.winner is not None
    assert found.runner_up is not None
    assert (found.winner.treatment.label, found.runner_up.treatment.label) == ("norm=batch", "act=tanh")


def test_where_nothing_helps_there_is_no_cure_and_all_is_shown(search: Search) -> None:
    found, _, _ = search({"act=relu": 0.1})
    assert (found.winner, found.runner_up, found.healthy) == (None, None, False)
    assert found.standings[0].treatment.label.startswith("act=relu")


def test_in_a_tie_the_suggested_treatment_goes_on(search: Search) -> None:
    _, clinic, _ = search({}, pairs=False)
    assert clinic.asked[2][1][:2] == ["act=relu", "init=xavier"]


def test_a_healthy_setting_is_not_treated(trial: MakeTrial, yard: Yardstick) -> None:
    class Healthy(Clinic):
        """Learns without treatment."""

        def of(self, one: Treatment) -> Trial:
            return self.trial([0.1, 0.97], [0.1, 0.96])

    clinic = Healthy(trial, yard, {})
    mild = Diagnosis((Finding("saturated", 0.2, 1.0, (1,), 0, {}),), True)
    for diagnosis in (Diagnosis((), True), mild):
        found = find_cure(SICK, clinic, SearchPlan(400), lambda alone: diagnosis, lambda run: DATA)  # type: ignore[arg-type] # noqa: B023
        assert found.healthy
        assert (found.standings, found.winner) == ((), None)
    assert [some for _, some in clinic.asked] == [["untreated"]] * 2


def test_what_learns_but_is_slowed_down_is_treated(search: Search) -> None:
    slowed = Diagnosis((VANISHING,), True)
    found, _, _ = search({"act=relu": 0.5}, slowed)
    assert not found.healthy


def test_pretraining_that_takes_much_longer_than_a_trial_is_left_out(search: Search) -> None:
    """20 layers, 20 epochs of 22 batches: 8800 updates, for 400 steps."""
    found, _, _ = search({"act=relu": 0.5})
    reasons = {one.label: one.reason for one in found.left_out}
    assert "its 8800 updates of single layers are more than 3 times the 400" in reasons["remedy=pretraining"]
