"""What `vanishgrad cure` prints."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from vanishgrad import Run
from vanishgrad.cli.cure_table import MOST_OUT, Document, announcement, show_cure
from vanishgrad.cures import Cure, Stage, Standing, Treatment, Trial
from vanishgrad.cures.candidates import ALREADY, LeftOut
from vanishgrad.cures.trial import Course
from vanishgrad.diagnosis import Diagnosis, Finding

SENTENCE = "The gradient shrinks 7 x per layer."
FAILING = Diagnosis((Finding("vanishing", 1.0, 1.0, (1,), 0, {}, sentence=SENTENCE),), False)


def standing(override: str, accuracies: tuple[float, ...], round: int = 3, **more: Any) -> Standing:
    courses = tuple(
        Course("completed", (0, 400), (0.1, one), (2.3, 3 * (1 - one)), 0.05, Path("nowhere"))
        for one in accuracies
    )
    learned = sum(one > 0.4 for one in accuracies)
    trial = Trial(100 * 2 ** (round - 1), courses, accuracies, learned)
    overrides = tuple(override.split()) if override else ()
    return Standing(Treatment(Run(), overrides), trial, round, **more)


UNTREATED = standing("", (0.1, 0.1), cost=1.0)
BEST = standing("norm=batch", (0.9, 0.94), cost=1.75, speed=120.0, cures=True)
SECOND = standing("act=relu init=he", (0.8, 0.9), cost=1.0, speed=180.0, cures=True)
USELESS = standing("clip=norm", (0.1, 0.12), cost=1.1)
EARLY = standing("reg=l2", (0.1, 0.1), round=1)
FOUND = Cure(
    FAILING,
    UNTREATED,
    (BEST, SECOND, USELESS, EARLY),
    (LeftOut("remedy=lstm", "no cell"), LeftOut("init=he", ALREADY)),
)
ANSWER = Document({"folder": "outputs/now"}, ["depth=20", "norm=batch"], ["depth=20", "act=relu", "init=he"])


def printed(found: Cure, answer: Document, width: int = 100) -> list[str]:
    screen = io.StringIO()
    show_cure(Console(file=screen, width=width), found, answer)
    return screen.getvalue().splitlines()


def test_the_diagnosis_is_a_sentence_the_treatments_are_a_table_and_the_cure_is_a_command() -> None:
    assert printed(FOUND, ANSWER) == [
        "Vanishing: The gradient shrinks 7 x per layer; learns with 0 of 2 seeds, accuracy 0.100.",
        "   override                      learns       accuracy  to 90 %    cost   slope",
        "1  norm=batch                    2 of 2  0.920 ± 0.028      120  1.75 x  +0.050",
        "2  act=relu init=he              2 of 2  0.850 ± 0.071      180  1.00 x  +0.050",
        "3  clip=norm                     0 of 2  0.110 ± 0.014        –  1.10 x  +0.050",
        "   untreated                     0 of 2  0.100 ± 0.000        –  1.00 x  +0.050",
        "   left behind after 100 steps:",
        "4  reg=l2                        0 of 2  0.100 ± 0.000        –       –  +0.050",
        "left out: remedy=lstm: no cell",
        "cure: vanishgrad train depth=20 norm=batch",
        "runner-up: vanishgrad train depth=20 act=relu init=he",
        "outputs/now",
    ]


def test_eighty_columns_are_enough() -> None:
    assert max(map(len, printed(FOUND, ANSWER, 80))) <= 80


def test_without_a_cure_the_best_is_named() -> None:
    found = replace(FOUND, standings=(USELESS, EARLY))
    lines = printed(found, Document({"folder": "outputs/now"}))
    assert lines[-2:] == [
        "no cure within 400 steps: the best, clip=norm, came to accuracy 0.110",
        "outputs/now",
    ]


def test_a_healthy_setting_has_no_table() -> None:
    found = Cure(Diagnosis((), True), standing("", (0.9, 0.95)))
    assert printed(found, Document({"folder": "outputs/now"})) == [
        "Nothing was found wrong; learns with 2 of 2 seeds, accuracy 0.925.",
        "healthy: nothing to cure", "outputs/now",
    ]  # fmt: skip


def test_of_many_that_a_round_left_behind_the_first_are_shown() -> None:
    many = tuple(standing(f"lr={number}", (0.1, 0.1), round=1) for number in range(MOST_OUT + 3))
    lines = printed(replace(FOUND, standings=(BEST, *many)), ANSWER)
    assert sum("lr=" in line for line in lines) == MOST_OUT
    assert [line.strip() for line in lines if "more" in line] == ["... 3 more in cure.csv"]


def test_losses_stand_where_there_are_no_accuracies() -> None:
    def blind(one: Standing) -> Standing:
        runs = [replace(run, accuracy=(float("nan"),) * 2) for run in one.trial.courses]
        return replace(one, trial=replace(one.trial, courses=tuple(runs)))

    found = replace(FOUND, untreated=blind(UNTREATED), standings=tuple(map(blind, FOUND.standings)))
    lines = printed(found, ANSWER)
    assert lines[0].endswith("learns with 0 of 2 seeds, loss 2.7.")
    assert lines[1].split() == ["override", "learns", "loss", "to", "90", "%", "cost", "slope"]
    assert "0.24 ± 0.0849" in lines[2]


def test_a_round_is_told_in_a_line() -> None:
    assert announcement(Stage(0, 3, 1, 400), 3) == "untreated: 3 seeds, 400 steps"
    assert announcement(Stage(2, 3, 16, 200), 1) == "round 2 of 3: 16 treatments, 1 seed, 200 steps"
