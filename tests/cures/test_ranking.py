"""Which treatment is best."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from vanishgrad import Run
from vanishgrad.cures.candidates import Treatment
from vanishgrad.cures.ranking import Standing, cures, ranked, speed
from vanishgrad.cures.trial import Trial, Yardstick

MakeTrial = Callable[..., Trial]


def standing(trial: Trial, *overrides: str, round: int = 3, cures: bool = True, **more: Any) -> Standing:
    parts = tuple(Treatment(Run(), (text,)) for text in overrides) if len(overrides) > 1 else ()
    return Standing(Treatment(Run(), overrides, parts=parts), trial, round, cures=cures, **more)


def labels(*standings: Standing) -> list[str]:
    return [one.treatment.label for one in ranked(standings, 3)]


def test_of_equally_good_ones_the_shortest_is_first(trial: MakeTrial) -> None:
    pair = standing(trial([0.1, 0.970]), "act=relu", "norm=batch", speed=10.0, cost=1.0)
    single = standing(trial([0.1, 0.965]), "norm=batch", speed=30.0, cost=2.0)
    assert labels(pair, single) == ["norm=batch", "act=relu norm=batch"]


def test_more_than_a_point_is_worth_a_word_more(trial: MakeTrial) -> None:
    pair = standing(trial([0.1, 0.970]), "act=relu", "norm=batch")
    single = standing(trial([0.1, 0.950]), "norm=batch")
    assert labels(single, pair) == ["act=relu norm=batch", "norm=batch"]


def test_then_the_time_to_the_threshold_counts_steps_and_their_cost(trial: MakeTrial) -> None:
    quick = standing(trial([0.1, 0.9]), "act=relu", speed=20.0, cost=1.0)
    dear = standing(trial([0.1, 0.9]), "norm=batch", speed=15.0, cost=2.0)
    never = standing(trial([0.1, 0.9]), "act=tanh", speed=None, cost=1.0)
    assert labels(never, dear, quick) == ["act=relu", "norm=batch", "act=tanh"]


def test_then_the_flatter_gradients(trial: MakeTrial) -> None:
    steep = standing(trial([0.1, 0.9], slope=-0.5), "act=relu", speed=20.0, cost=1.0)
    flat = standing(trial([0.1, 0.9], slope=0.1), "act=tanh", speed=20.0, cost=1.0)
    none = standing(trial([0.1, 0.9], slope=float("nan")), "act=elu", speed=20.0, cost=1.0)
    assert labels(none, steep, flat) == ["act=tanh", "act=relu", "act=elu"]


def test_what_was_left_behind_comes_after_the_last_round_whatever_it_had_reached(trial: MakeTrial) -> None:
    early = standing(trial([0.1, 0.99]), "norm=batch", round=2)
    useless = standing(trial([0.1, 0.1]), "clip=norm", cures=False)
    good = standing(trial([0.1, 0.9]), "act=relu")
    first = standing(trial([0.1, 0.99]), "act=elu", round=1)
    assert labels(first, early, useless, good) == ["act=relu", "clip=norm", "norm=batch", "act=elu"]


def test_what_does_not_cure_is_ranked_by_what_it_reached(trial: MakeTrial) -> None:
    better = standing(trial([0.1, 0.2]), "act=relu", cures=False)
    worse = standing(trial([0.1, 0.12]), "act=tanh", cures=False)
    lost = standing(trial([0.1, 0.9], status="diverged"), "act=elu", cures=False)
    assert labels(lost, worse, better) == ["act=relu", "act=tanh", "act=elu"]


def test_a_cure_learns_with_every_seed(trial: MakeTrial) -> None:
    untreated = trial([0.1, 0.1], [0.1, 0.1])
    assert cures(trial([0.1, 0.9], [0.1, 0.8]), untreated)
    assert not cures(trial([0.1, 0.99], [0.1, 0.1]), untreated)


def test_a_cure_is_better_than_no_treatment(trial: MakeTrial) -> None:
    untreated = trial([0.1, 0.900])
    assert not cures(trial([0.1, 0.905]), untreated)
    assert cures(trial([0.1, 0.920]), untreated)


def test_speed_is_the_median_over_seeds_of_the_steps_to_nine_tenths_of_the_best(
    trial: MakeTrial, yard: Yardstick
) -> None:
    runs = trial([0.1, 0.5, 0.95], [0.1, 0.95, 0.9], [0.1, 0.2, 0.3])
    assert speed(runs, yard, best=0.9) == 20
    assert speed(runs, yard, best=0.45) == 10
    assert speed(trial([0.1, 0.95], [0.1, 0.2], [0.1, 0.3]), yard, best=0.9) is None


def test_accuracies_come_with_their_spread(trial: MakeTrial) -> None:
    found = standing(trial([0.1, 0.8], [0.1, 0.9]), "act=relu")
    assert found.accuracy == (pytest.approx(0.85), pytest.approx(0.070710678))
    assert standing(trial([0.1, 0.8]), "act=relu").accuracy[0] == pytest.approx(0.8)
