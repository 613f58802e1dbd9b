"""The benchmark of the diagnosis itself: its labels, its counting, its rivals; not its scores."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from vanishgrad import Run
from vanishgrad.choices.activation import ReLU, Sigmoid, Tanh
from vanishgrad.choices.initialization import Default, Gaussian, He, Xavier
from vanishgrad.diagnosis import PATHOLOGIES

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def benchmark() -> SimpleNamespace:
    """The modules of the benchmark, which is a script."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        import benchmark_diagnosis
        import diagnosis_score
        import families_held_out
        import families_looked_at
        import families_tuned_on
        import labelled_runs
        import rival_rules
    finally:
        sys.path.remove(str(SCRIPTS))
    return SimpleNamespace(
        main=benchmark_diagnosis, score=diagnosis_score, held_out=families_held_out.HELD_OUT,
        tuned_on=families_tuned_on.TUNED_ON + families_looked_at.LOOKED_AT, runs=labelled_runs,
        rivals=rival_rules,
    )  # fmt: skip


def test_the_halves_share_no_family_and_are_large_and_half_healthy(benchmark: SimpleNamespace) -> None:
    halves = [
        [case for family in half for case in family()] for half in (benchmark.tuned_on, benchmark.held_out)
    ]
    names = [{case.family for case in half} for half in halves]
    assert not names[0] & names[1]
    cases = halves[0] + halves[1]
    settings = Counter((case.run, repr(case.twist)) for case in cases if case.twist is None)
    assert max(settings.values()) == 1
    assert len(cases) > 400
    assert 0.4 < sum(not case.truth for case in cases) / len(cases) < 0.6
    for half in halves:
        assert {name for case in half for name in case.truth} == set(PATHOLOGIES)


@pytest.mark.parametrize(
    "run, low, high",
    [
        (Run(depth=10, act=ReLU(), init=He()), -1e-6, 1e-6),  # chi_1 = 1
        (Run(depth=11, act=ReLU(), init=Default(), width=10**4), 3.85, 3.93),  # chi_1 = 1/6: 10 gaps of 0.389
        (Run(depth=11, act=Sigmoid(), init=Xavier()), 6.0, 7.0),  # a slope of at most 1/4 each
        (Run(depth=11, act=Tanh(), init=Gaussian(3.0)), -2.0, -1.0),  # chaos
    ],
)
def test_the_labels_follow_mean_field_theory(
    benchmark: SimpleNamespace, run: Run, low: float, high: float
) -> None:
    assert low <= benchmark.runs.predicted_fall(run) <= high


def test_wilsons_interval(benchmark: SimpleNamespace) -> None:
    """Against Newcombe (1998), table I: 81 of 263 is 0.2553 to 0.3662, 0 of 20 is 0 to 0.1611."""
    assert benchmark.score.wilson(81, 263) == "0.308 (0.255 to 0.366)"
    assert benchmark.score.wilson(0, 20) == "0.000 (0.000 to 0.161)"
    assert benchmark.score.wilson(0, 0) == "-"


def test_right_missed_and_false_are_counted(benchmark: SimpleNamespace) -> None:
    case, total = benchmark.runs.Case, benchmark.score.Score()
    sick = case("a", Run(), frozenset({"vanishing"}), also=frozenset({"saturated"}))
    for said in ({"vanishing", "saturated"}, {"exploding"}, set()):
        total.add(sick, said, PATHOLOGIES)
    total.add(case("a", Run()), {"vanishing"}, PATHOLOGIES)
    assert (total.found["vanishing"], total.missed["vanishing"], total.false["vanishing"]) == (1, 2, 1)
    assert (total.false["exploding"], total.false["saturated"]) == (1, 0)
    assert (total.healthy, total.alarmed, len(total.wrong)) == (1, 1, 3)


@pytest.mark.slow
def test_a_few_settings_are_trained_and_judged(benchmark: SimpleNamespace) -> None:
    case, twist = benchmark.runs.Case, benchmark.runs.Twist
    drawn = twist(shuffled=True)
    small = {"width": 16, "max_steps": 220, "batch_size": 32, "epochs": 1000, "threads": 1}
    cases = [
        case("deep", Run(depth=12, act=Sigmoid(), init=Xavier(), **small), frozenset({"vanishing"})),
        case("flat", Run(depth=2, init=He(), **small)),
        case("flat", Run(depth=2, init=He(), seed=1, **small)),
        case("looped", Run(depth=2, init=He(), **small), twist=twist(scale=1e-6)),
        case("shuffled", Run(depth=2, init=He(), **small), frozenset({"not_learning"}), twist=drawn),
    ]  # fmt: skip
    pairs = benchmark.main._of(cases, processes=1)
    assert all(benchmark.main.known(one, seen) for one, seen in pairs)
    said = {id(one): benchmark.main.ours(one, seen) for one, seen in pairs}
    assert [said[id(one)] for one in cases] == [set(one.truth) for one in cases]
    deep = next(seen for one, seen in pairs if one.family == "deep")
    assert benchmark.rivals.autotrainer(deep) == {"vanishing"}
